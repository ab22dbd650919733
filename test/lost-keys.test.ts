import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { until } from './harness/child.ts';
import { createTestDatabase, type TestDatabase } from './harness/database.ts';
import { isSignedWith, type Receiver, startReceiver } from './harness/receiver.ts';
import {
  launchServer,
  type RunningServer,
  removeDirectory,
  startServer,
  temporaryDirectory,
} from './harness/server.ts';
import { startVault, type TestVault } from './harness/vault.ts';

/*
 * What an operator meets who starts Gatehouse without the key that its secrets were stored under.
 */
let simulator: Simulator;
let receiver: Receiver;
let vault: TestVault;
let databases: TestDatabase[];
let dataDir: string;
let env: Record<string, string>;

beforeAll(async () => {
  simulator = createSimulator({ seed: 4 });
  const { url } = await simulator.start();
  receiver = await startReceiver();
  vault = await startVault();
  databases = [await createTestDatabase(), await createTestDatabase()];
  dataDir = await temporaryDirectory();
  env = {
    DATABASE_URL: databases[0]?.url ?? '',
    LOG_LEVEL: 'warn',
    OPENAI_API_KEY: 'sk-test-of-the-environment',
    OPENAI_BASE_URL: `${url}/v1`,
    GATEHOUSE_NOTIFY_ALLOW: '127.0.0.1',
  };
});
afterAll(async () => {
  await Promise.all([simulator.stop(), receiver.stop(), vault.stop(), removeDirectory(dataDir)]);
  for (const database of databases) await database.drop();
});

const chat = async (
  server: RunningServer,
  provider: string,
  headers: Record<string, string> = {},
): Promise<number> => {
  const body = {
    model: `${provider}/gpt-4o-mini`,
    messages: [{ role: 'user', content: 'Say yes.' }],
    max_tokens: 5,
  };
  return (await server.call('POST', '/v1/chat/completions', body, headers)).status;
};
const addProvider = (server: RunningServer, name: string, headers: Record<string, string> = {}) =>
  server.call(
    'POST',
    '/api/v1/providers',
    { name, kind: 'openai', base_url: env.OPENAI_BASE_URL, api_key: 'sk-test-stored' },
    headers,
  );

describe('a master key that is lost', () => {
  it('ends the start with what to do, changes nothing, and all is there again when it is back', async () => {
    const file = join(dataDir, 'master.key');
    const kept = join(dataDir, 'kept-elsewhere');
    let server = await startServer({ dataDir, env });
    expect((await addProvider(server, 'own')).status).toBe(201);
    const channel = { kind: 'webhook', name: 'hook', url: `${receiver.url}/hook` };
    const { json: made } = await server.call('POST', '/api/v1/notifications/channels', channel);
    const { json: keyring } = await server.call('GET', '/api/v1/keyring');
    const fingerprint = keyring.current_kek.slice('local:'.length);
    expect(await server.stop()).toBe(0);
    await rename(file, kept);

    const refused = async (why: string, more: Record<string, string> = {}) => {
      const lost = launchServer(dataDir, { env: { ...env, ...more } });
      expect({ why, code: await lost.exited }).toEqual({ why, code: 1 });
      const { stdout, stderr } = lost.output();
      expect(stdout + stderr).toContain(fingerprint);
      expect(stdout + stderr).toMatch(/GATEHOUSE_MASTER_KEYS_OLD[\s\S]*Nothing was changed/);
    };
    await refused('the file is gone');
    expect(existsSync(file)).toBe(false);
    const another = Buffer.alloc(32, 9).toString('base64');
    await refused('another key is configured', { GATEHOUSE_MASTER_KEY: another });
    writeFileSync(file, `${another}\n`, { mode: 0o600 });
    await refused('the file holds another key');
    expect(readFileSync(file, 'utf8')).toBe(`${another}\n`);
    const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
    const doctor = await promisify(execFile)(process.execPath, [main, 'doctor', '--json'], {
      env: { PATH: process.env.PATH, GATEHOUSE_DATA_DIR: dataDir, DATABASE_URL: env.DATABASE_URL },
    }).catch(({ code, stdout }) => ({ code, stdout }));
    expect(doctor).toMatchObject({ code: 1, stdout: expect.stringContaining(fingerprint) });

    await rename(kept, file);
    server = await startServer({ dataDir, env });
    expect(await chat(server, 'own')).toBe(200);
    expect((await server.call('POST', `/api/v1/notifications/channels/${made.id}/test`)).status).toBe(202);
    const message = await until(async () => receiver.messages.find(({ path }) => path === '/hook'));
    expect(isSignedWith(made.signing_secret, message)).toBe(true);
    // The key that signs the audit log is the same one: nothing was made in its place.
    const { json: keys } = await server.call('GET', '/api/v1/audit-logs/keys');
    expect(keys.keys).toHaveLength(1);
    await server.stop();
  });
});

describe('a key service', () => {
  let server: RunningServer;
  let directory: string;
  let withVault: Record<string, string>;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    withVault = {
      ...env,
      DATABASE_URL: databases[1]?.url ?? '',
      GATEHOUSE_KEY_ENGINE: 'vault',
      VAULT_ADDR: vault.url,
      VAULT_TOKEN: vault.token,
      GATEHOUSE_VAULT_TRANSIT_KEY: 'gatehouse',
    };
    server = await startServer({ dataDir: directory, env: withVault });
    expect((await addProvider(server, 'own')).status).toBe(201);
    expect(await chat(server, 'own')).toBe(200);
  });
  afterAll(async () => {
    await server.stop();
    await removeDirectory(directory);
  });
  const becomes = (provider: string, isWell: boolean, headers: Record<string, string> = {}) =>
    expect
      .poll(async () => (await chat(server, provider, headers)) === 200, { timeout: 60_000, interval: 500 })
      .toBe(isWell);

  it('that is away lets the server start: what needs no stored secret goes on, and the rest when it is back', async () => {
    await server.stop();
    vault.sealed = true;
    server = await startServer({ dataDir: directory, env: withVault });
    expect(await chat(server, 'openai')).toBe(200);
    expect(await chat(server, 'own')).toBeGreaterThanOrEqual(500);
    const { json } = await server.call('GET', '/api/v1/providers');
    const problems = json.providers.map((one: any) => [one.name, one.key_problem !== null]);
    expect(Object.fromEntries(problems)).toMatchObject({ own: true, openai: false });
    expect((await addProvider(server, 'another')).status).toBe(503);
    vault.sealed = false;
    await becomes('own', true);
  });

  it('holds a tenant’s own key, by which the tenant closes and opens what it stored, and nobody else’s', async () => {
    const tenant = { name: 'Acme', slug: 'acme', tier: 'professional', region: 'eu' };
    const { json: acme } = await server.call('POST', '/api/v1/tenants', tenant);
    const inAcme = { 'x-tenant-id': 'acme' };
    expect((await addProvider(server, 'acmes', inAcme)).status).toBe(201);
    const path = `/api/v1/tenants/${acme.id}/encryption-key`;
    expect((await server.call('GET', path)).status).toBe(404);
    const unusable = await server.call('PUT', path, { engine: 'vault', key: 'acme' });
    expect([unusable.status, unusable.json.errors?.[0]?.path]).toEqual([422, 'key']);
    vault.makeKey('acme');
    const set = await server.call('PUT', path, { engine: 'vault', key: 'acme' });
    expect({ status: set.status, ...set.json }).toMatchObject({
      status: 200,
      kek: 'vault:transit/acme',
      health: { ok: true },
      not_rewrapped: 0,
    });
    expect(await chat(server, 'acmes', inAcme)).toBe(200);
    vault.revokedKeys.add('acme');
    await becomes('acmes', false, inAcme);
    expect(await chat(server, 'own')).toBe(200);
    expect((await addProvider(server, 'more', inAcme)).status).toBe(503);
    vault.revokedKeys.clear();
    await becomes('acmes', true, inAcme);
    expect((await server.call('DELETE', path)).status).toBe(204);
    const log = await server.call('GET', '/api/v1/audit-logs?target_type=encryption_key', undefined, inAcme);
    expect(log.json.entries.map(({ entry }: any) => entry.action)).toEqual([
      'encryption_key.deleted',
      'encryption_key.created',
    ]);
  });
});
