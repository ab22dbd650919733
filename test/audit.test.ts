import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from './harness/child.ts';
import {
  call,
  type RunningServer,
  removeDirectory,
  startServer,
  temporaryDirectory,
} from './harness/server.ts';

/*
 * What an auditor does: looks who changed what, takes the log home, and checks it without trusting the server.
 */
const root = fileURLToPath(new URL('..', import.meta.url));
let server: RunningServer;
let folder: string;
const acme = { 'x-tenant-id': 'acme' };

beforeAll(async () => {
  folder = await temporaryDirectory();
  server = await startServer();
  await server.call('POST', '/api/v1/tenants', {
    name: 'Acme',
    slug: 'acme',
    tier: 'professional',
    region: 'eu',
  });
});
afterAll(async () => {
  await server.stop();
  await removeDirectory(server.dataDir);
  await removeDirectory(folder);
});

interface Entry {
  readonly action: string;
  readonly actor: { readonly kind: string; readonly id?: string };
  readonly correlation_id?: string;
  readonly [member: string]: unknown;
}
const entries = async (query: string, headers: Record<string, string> = acme): Promise<Entry[]> =>
  (await server.call('GET', `/api/v1/audit-logs?${query}`, undefined, headers)).json.entries
    .map(({ entry }: { entry: Entry }) => entry)
    // Looking is told, too; here it is in the way, and has a story of its own.
    .filter(({ action }: Entry) => action !== 'data.read');
/** @returns the exit code and what was printed with --json. */
async function verify(
  file: string,
  ...options: string[]
): Promise<{ code: number; result: Record<string, unknown> }> {
  const given = [join(root, 'src/main.ts'), 'audit', 'verify', file, '--json', ...options];
  // An environment of its own: nothing of a server, a database or a network.
  return promisify(execFile)(process.execPath, given, { env: { PATH: process.env.PATH } })
    .then(({ stdout }) => ({ code: 0, result: JSON.parse(stdout) }))
    .catch(({ code, stdout }) => ({ code, result: JSON.parse(stdout) }));
}
async function exportTo(name: string): Promise<string> {
  const { text, status } = await server.call('GET', '/api/v1/audit-logs/export', undefined, acme);
  expect(status).toBe(200);
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
}

describe('the audit log', () => {
  it('tells who made, changed and deleted what, in which request, and no secret', async () => {
    const made = await server.call('POST', '/api/v1/keys', { name: 'ci', role: 'admin' }, acme);
    const revoked = await server.call('DELETE', `/api/v1/keys/${made.json.id}`, undefined, acme);
    const secret = 'sk-test-not-a-real-key-0123456789';
    await server.call(
      'POST',
      '/api/v1/providers',
      { name: 'mine', kind: 'openai', base_url: 'https://api.openai.com/v1', api_key: secret },
      acme,
    );
    // The tenant's first secret has a data key made for it, which is told, too.
    const all = (await entries('limit=50')).filter(({ action }) => action !== 'data_key.created');
    expect(all.map(({ action }) => action)).toEqual([
      'provider.created',
      'api_key.changed',
      'api_key.created',
      'tenant.created',
    ]);
    expect(all[2]).toMatchObject({
      actor: { kind: 'key', id: 'admin-key', role: 'owner' },
      target: { type: 'api_key', id: made.json.id },
      correlation_id: made.headers.get('x-correlation-id'),
      request: 'POST /api/v1/keys',
      ip: '127.0.0.1',
      outcome: 'done',
    });
    expect(all[1]?.correlation_id).toBe(revoked.headers.get('x-correlation-id'));
    expect(all[3]).toMatchObject({ actor: { kind: 'key', id: 'admin-key' }, after: { slug: 'acme' } });
    const text = JSON.stringify(all);
    expect(text).not.toContain(secret);
    expect(text).not.toContain(made.json.key);
    expect(await entries('action=api_key')).toHaveLength(2);
    expect(await entries(`target_id=${made.json.id}&action=api_key.created`)).toHaveLength(1);
    expect(await entries('actor=key:nobody')).toEqual([]);
  });

  it('tells who read what not everybody may know, and what they looked for', async () => {
    const { json: reader } = await server.call(
      'POST',
      '/api/v1/keys',
      { name: 'reader', role: 'admin' },
      acme,
    );
    const read = (path: string) => call(server.url, reader.key, 'GET', path);
    for (const path of [
      '/api/v1/keys?limit=3',
      '/api/v2/costs/ledger?tag=x',
      '/api/v1/costs/invoices',
      '/api/v1/users',
    ]) {
      expect((await read(path)).status).toBe(200);
    }
    // What everybody may know is not worth an entry, nor is what was refused before it was looked at.
    await read('/api/v1/documents');
    await read('/api/v1/keys?limit=0');
    const { json } = await read(`/api/v1/audit-logs?action=data.read&actor=key:${reader.id}`);
    const told = json.entries.map(({ entry }: { entry: any }) => [
      entry.target.type,
      entry.after.query ?? null,
    ]);
    expect(told).toEqual([
      ['audit-logs', `action=data.read&actor=key:${reader.id}`],
      ['users', null],
      ['costs/invoices', null],
      ['costs/ledger', 'tag=x'],
      ['keys', 'limit=3'],
    ]);
  });

  it('tells of refusals: whose they are when that is known', async () => {
    const { json } = await server.call('POST', '/api/v1/keys', { name: 'viewer', role: 'viewer' }, acme);
    const refused = await call(server.url, json.key, 'POST', '/api/v1/keys', { name: 'more' });
    expect(refused.status).toBe(403);
    expect((await call(server.url, json.key, 'GET', '/api/v1/audit-logs')).status).toBe(403);
    expect((await call(server.url, 'gh_no_such_key', 'GET', '/api/v1/documents')).status).toBe(401);
    const own = await until(async () => {
      const found = await entries('outcome=denied');
      return found.length >= 2 && found;
    });
    expect(own.map(({ request }) => request)).toEqual(['GET /api/v1/audit-logs', 'POST /api/v1/keys']);
    expect(own[1]).toMatchObject({ actor: { kind: 'key', id: json.id }, after: { code: 'forbidden' } });
    const strangers = await until(async () => {
      const found = await entries('outcome=denied&log=platform', {});
      return found.length > 0 && found;
    });
    expect(strangers[0]).toMatchObject({ actor: { kind: 'stranger' }, after: { code: 'unauthenticated' } });
    const { json: admin } = await server.call('POST', '/api/v1/keys', { name: 'admin', role: 'admin' }, acme);
    expect((await call(server.url, admin.key, 'GET', '/api/v1/audit-logs?log=platform')).status).toBe(403);
    expect((await call(server.url, admin.key, 'GET', '/api/v1/audit-logs')).status).toBe(200);
  });

  it('goes home as a file that proves itself, and does not when anything in it was changed', async () => {
    const head = await until(async () => {
      const { json } = await server.call('GET', '/api/v1/audit-logs/head', undefined, acme);
      return json.head?.size >= 8 && json.head;
    });
    const witness = join(folder, 'head.json');
    await writeFile(witness, JSON.stringify({ head }));
    await server.call('POST', '/api/v1/keys', { name: 'later', role: 'viewer' }, acme);
    await until(async () => {
      const { json } = await server.call('GET', '/api/v1/audit-logs/head', undefined, acme);
      return json.head.size > head.size;
    });
    const { json: keys } = await server.call('GET', '/api/v1/audit-logs/keys', undefined, acme);
    const trust = ['--trust-key', keys.keys[0].id];
    const file = await exportTo('audit.jsonl');
    const good = await verify(file, ...trust, '--witness', witness);
    expect(good).toMatchObject({ code: 0, result: { valid: true, problems: [], keys: [{ trusted: true }] } });
    const text = await readFile(file, 'utf8');
    await writeFile(join(folder, 'changed.jsonl'), text.replace('"viewer"', '"owner"'));
    expect(await verify(join(folder, 'changed.jsonl'), ...trust)).toMatchObject({
      code: 1,
      result: { valid: false },
    });
    await writeFile(join(folder, 'short.jsonl'), text.split('\n').slice(0, -3).join('\n'));
    expect(await verify(join(folder, 'short.jsonl'), ...trust)).toMatchObject({ code: 1 });
    expect(await verify(file, '--trust-key', '0'.repeat(32))).toMatchObject({ code: 1 });
    expect(await verify(join(folder, 'nowhere.jsonl'))).toMatchObject({ code: 1 });
  });

  it('is signed by another key when an owner says so, and what was signed before still proves itself', async () => {
    const before = await exportTo('before-rotation.jsonl');
    const { json: admin } = await server.call('POST', '/api/v1/keys', { name: 'admin', role: 'admin' }, acme);
    const rotate = '/api/v1/audit-logs/keys/rotate';
    expect((await call(server.url, admin.key, 'POST', rotate)).status).toBe(403);
    const rotated = await server.call('POST', rotate);
    expect(rotated.status).toBe(201);
    expect(rotated.json.keys.map(({ retired_at }: any) => retired_at === null)).toEqual([false, true]);
    expect(rotated.text).not.toContain('PRIVATE');
    const [retired] = await entries('action=audit_key.changed&log=platform', {});
    expect(retired).toMatchObject({
      actor: { kind: 'key', id: 'admin-key' },
      target: { id: rotated.json.keys[0].id },
      request: `POST ${rotate}`,
    });
    await until(async () => {
      const { json } = await server.call('GET', '/api/v1/audit-logs/head', undefined, acme);
      return json.head.key_id === rotated.json.keys[1].id;
    });
    const keys = join(folder, 'keys.json');
    await writeFile(keys, rotated.text);
    for (const file of [before, await exportTo('after-rotation.jsonl')]) {
      expect(await verify(file, '--keys', keys)).toMatchObject({ code: 0, result: { problems: [] } });
    }
    const unknown = join(folder, 'first-key.json');
    await writeFile(unknown, JSON.stringify({ keys: rotated.json.keys.slice(0, 1) }));
    expect(await verify(join(folder, 'after-rotation.jsonl'), '--keys', unknown)).toMatchObject({ code: 1 });
    expect(await verify(before, '--keys', before)).toMatchObject({ code: 1 });
  });

  it('is signed and continued after kill -9', async () => {
    const before = await server.call('GET', '/api/v1/audit-logs/head', undefined, acme);
    await server.kill9();
    server = await startServer({ dataDir: server.dataDir });
    await server.call('POST', '/api/v1/keys', { name: 'after', role: 'viewer' }, acme);
    const size = before.json.head.size;
    await until(async () => {
      const { json } = await server.call('GET', '/api/v1/audit-logs/head', undefined, acme);
      return json.head.size > size;
    });
    const witness = join(folder, 'before.json');
    await writeFile(witness, JSON.stringify(before.json));
    expect(await verify(await exportTo('after.jsonl'), '--witness', witness)).toMatchObject({ code: 0 });
  });
});
