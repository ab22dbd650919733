import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningInstances, startInstances } from './harness/instances.ts';

/*
 * Two instances on one keyring file. Applications call models by a tenant's own provider and administrators change that
 * provider, while an owner makes a new key-encryption key and new data keys, twice.
 */
const directory = mkdtempSync(join(tmpdir(), 'gatehouse-keyring-story-'));
const file = join(directory, 'keyring');
let two: RunningInstances;
let admin: string;
let caller: string;

beforeAll(async () => {
  writeFileSync(file, `${Buffer.alloc(32, 3).toString('base64')}\n`, { mode: 0o600 });
  writeFileSync(join(directory, 'upstream'), 'sk-test-upstream\n');
  two = await startInstances({
    env: {
      GATEHOUSE_MASTER_KEY: '',
      GATEHOUSE_KEYRING_FILE: file,
      GATEHOUSE_SECRET_UPSTREAM: 'sk-test-upstream',
      GATEHOUSE_SECRET_DIRS: directory,
    },
  });
  ({ admin } = await two.tenant('acme'));
  caller = await two.keyIn('acme', 'analyst');
  const provider = { name: 'own', kind: 'openai', base_url: two.simulatorUrl, api_key: 'sk-test-upstream' };
  const made = await two.call(0, 'POST', '/api/v1/providers', provider, { 'x-tenant-id': 'acme' });
  expect(made.status).toBe(201);
});
afterAll(async () => {
  await two?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const chat = (i: number) =>
  two.callAs(i, caller, 'POST', '/v1/chat/completions', {
    model: 'own/gpt-4o-mini',
    messages: [{ role: 'user', content: 'Say yes.' }],
    max_tokens: 5,
  });
const status = async (i: number) => (await two.call(i, 'GET', '/api/v1/keyring')).json;
const isDone = (keyring: any) =>
  keyring.keks.every((kek: any) => kek.is_current) && keyring.to_reseal.every((one: any) => one.values === 0);

describe('keys of stored secrets', () => {
  it('are rotated twice under load: no request fails, and both instances end on the newest', async () => {
    const failed: string[] = [];
    let calls = 0;
    let edits = 0;
    let isOver = false;
    const calling = [0, 1].map(async (i) => {
      while (!isOver) {
        const reply = await chat(i);
        calls += 1;
        if (reply.status !== 200) failed.push(`call ${i}: ${reply.status} ${reply.text}`);
      }
    });
    const editing = (async () => {
      const keysOf = (n: number) =>
        Array.from({ length: 1 + (n % 3) }, (_, k) => ({ key: `sk-test-upstream-${n}-${k}` }));
      while (!isOver) {
        const body = { kind: 'openai', base_url: two.simulatorUrl, api_keys: keysOf(edits) };
        // One after another: two instances that change one provider at once are told of the conflict, as ever.
        const reply = await two.call(0, 'PUT', '/api/v1/providers/own', body, { 'x-tenant-id': 'acme' });
        edits += 1;
        if (reply.status !== 200) failed.push(`edit: ${reply.status} ${reply.text}`);
      }
    })();
    const keks = new Set<string>([(await status(0)).current_kek]);
    for (const i of [0, 1]) {
      const rotated = await two.call(i, 'POST', '/api/v1/keyring/rotate', {});
      expect({ status: rotated.status, text: rotated.text }).toMatchObject({ status: 202 });
      await expect.poll(async () => isDone(await status(i)), { timeout: 60_000 }).toBe(true);
      keks.add((await status(i)).current_kek);
    }
    isOver = true;
    await Promise.all([...calling, editing]);
    expect(failed).toEqual([]);
    expect(calls).toBeGreaterThan(0);
    expect(edits).toBeGreaterThan(0);
    expect(keks.size).toBe(3);
    expect((await status(0)).current_kek).toBe((await status(1)).current_kek);
  });

  it('are audited by the owner who rotated them, and are nobody else’s to see', async () => {
    expect((await two.callAs(0, admin, 'GET', '/api/v1/keyring')).status).toBe(403);
    expect((await two.callAs(0, admin, 'POST', '/api/v1/keyring/rotate', {})).status).toBe(403);
    const log = await two.call(0, 'GET', '/api/v1/audit-logs?target_type=data_key', undefined, {
      'x-tenant-id': 'acme',
    });
    expect(log.json.entries.length).toBeGreaterThan(0);
    expect(log.text).not.toContain('sk-test');
  });

  it('may be kept elsewhere: an owner names a variable or a file, a tenant does not, and nobody sees more than the name', async () => {
    const put = (key: string, api_key: string) =>
      two.callAs(0, key, 'POST', '/api/v1/providers', {
        name: `by-reference-${api_key.slice(0, 4).replace(':', '')}`,
        kind: 'openai',
        base_url: two.simulatorUrl,
        api_key,
      });
    const refused = await put(admin, 'env:GATEHOUSE_SECRET_UPSTREAM');
    expect(refused.status).toBe(422);
    expect(refused.json.errors[0].path).toBe('api_key');
    const owner = two.call.bind(two);
    for (const reference of ['env:GATEHOUSE_SECRET_UPSTREAM', `file:${join(directory, 'upstream')}`]) {
      const name = `by-${reference.slice(0, 3)}`;
      const body = { name, kind: 'openai', base_url: two.simulatorUrl, api_key: reference };
      const made = await owner(0, 'POST', '/api/v1/providers', body);
      expect(made.json.keys).toEqual([{ hint: null, weight: 1, reference }]);
      expect(made.text).not.toContain('sk-test');
      const message = { model: `${name}/gpt-4o-mini`, messages: [{ role: 'user', content: 'Hello' }] };
      expect((await two.callAs(0, caller, 'POST', '/v1/chat/completions', message)).status).toBe(200);
    }
    const denied = await owner(0, 'POST', '/api/v1/providers', {
      name: 'by-other',
      kind: 'openai',
      base_url: two.simulatorUrl,
      api_key: 'env:DATABASE_URL',
    });
    expect(denied.status).toBe(422);
  });

  it('may be kept elsewhere wherever a secret is taken: under the same rule, and shown as they were given', async () => {
    const upstream = 'env:GATEHOUSE_SECRET_UPSTREAM';
    const issuer = { kind: 'oidc', issuer: 'https://idp.example', client_id: 'c', client_secret: upstream };
    const bucket = { kind: 's3', bucket: 'archive', access_key_id: upstream, secret_access_key: upstream };
    const channel = { kind: 'webhook', name: 'hook', url: upstream, signing_secret: upstream };
    const takers = [
      { method: 'POST', path: '/api/v1/notifications/channels', body: channel, field: 'url' },
      { method: 'PUT', path: '/api/v1/auth/providers/idp', body: issuer, field: 'client_secret' },
    ];
    for (const { method, path, body, field } of takers) {
      const refused = await two.callAs(0, admin, method, path, body);
      expect([refused.status, refused.json.errors?.[0]?.path]).toEqual([422, field]);
      const taken = await two.call(1, method, path, body, { 'x-tenant-id': 'acme' });
      expect({ path, text: taken.text }).toEqual({ path, text: expect.stringContaining(upstream) });
      expect(taken.status).toBeLessThan(300);
      expect(taken.text).not.toContain('sk-test');
    }
    const forwarding = '/api/v1/audit-logs/forwarding/archive';
    expect((await two.callAs(0, admin, 'PUT', forwarding, bucket)).status).toBe(403);
    const put = await two.call(0, 'PUT', forwarding, bucket);
    expect(put.json).toMatchObject({ secret_reference: upstream, target: { access_key_id: upstream } });
    expect((await two.call(0, 'DELETE', forwarding)).status).toBe(204);
  });

  it('end the start when the file lost what is needed, and change nothing', async () => {
    const rows = async () =>
      (await sql`select * from data_keys order by id`.execute(two.database.database.platform)).rows;
    const before = await rows();
    const lost = await two.launch({
      GATEHOUSE_KEYRING_FILE: '',
      GATEHOUSE_MASTER_KEY: Buffer.alloc(32, 9).toString('base64'),
    });
    expect(await lost.exited).not.toBe(0);
    const { stdout, stderr } = lost.output();
    const [current] = (await status(0)).keks;
    expect(stdout + stderr).toContain(current.id.slice('local:'.length));
    expect(stdout + stderr).toContain('Nothing was changed');
    expect(await rows()).toEqual(before);
    expect((await chat(1)).status).toBe(200);
  });
});
