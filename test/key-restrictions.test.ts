import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { call, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/*
 * Keys that may be used from some addresses only, and for some models only, whatever they are used for.
 */

let simulator: Simulator;
let server: RunningServer;

beforeAll(async () => {
  simulator = createSimulator({ seed: 5 });
  const upstream = await simulator.start();
  server = await startServer({
    env: {
      OPENAI_API_KEY: 'sk-test-upstream',
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      GATEHOUSE_TRUSTED_PROXIES: '127.0.0.1',
    },
  });
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

const make = async (more: object) =>
  (await server.call('POST', '/api/v1/keys', { name: 'restricted', role: 'analyst', ...more })).json;
const from = (address: string) => ({ 'x-forwarded-for': address });

describe('a key for some addresses', () => {
  it('opens every door from them and none from elsewhere, also as a token', async () => {
    const { id, key } = await make({ ip_allow_list: ['192.0.2.0/24', '2001:db8:1::/48'] });
    const token = await call(server.url, '', 'POST', '/api/v1/auth/token', {
      grant_type: 'client_credentials',
      client_id: id,
      client_secret: key,
    });
    for (const credential of [key, token.json.access_token]) {
      for (const [method, path] of [
        ['GET', '/v1/models'],
        ['GET', '/api/v1/documents'],
        ['POST', '/v1/chat/completions'],
      ] as const) {
        const body =
          method === 'POST'
            ? { model: 'openai/gpt-4o-mini', messages: [{ role: 'user', content: 'Hi' }] }
            : undefined;
        const ask = (address: string) => call(server.url, credential, method, path, body, from(address));
        expect((await ask('192.0.2.9')).status).toBe(200);
        expect((await ask('2001:db8:1::9')).status).toBe(200);
        expect((await ask('192.0.3.9')).status).toBe(403);
        expect((await ask('192.0.2.9, 192.0.3.9')).status).toBe(403);
        expect((await ask('2001:db8:2::9')).status).toBe(403);
      }
    }
  });

  it('is joined by the list of its tenant', async () => {
    await server.call('POST', '/api/v1/tenants', {
      name: 'Walled',
      slug: 'walled',
      tier: 'starter',
      region: 'eu',
    });
    const inTenant = { 'x-tenant-id': 'walled' };
    const made = await server.call('POST', '/api/v1/keys', { name: 'k', role: 'analyst' }, inTenant);
    const ask = (address: string) =>
      call(server.url, made.json.key, 'GET', '/v1/models', undefined, from(address));
    expect((await ask('198.51.100.1')).status).toBe(200);
    const patched = await server.call('PATCH', '/api/v1/tenants/walled', { ip_allow_list: ['192.0.2.0/24'] });
    expect(patched.status).toBe(200);
    expect((await ask('198.51.100.1')).status).toBe(403);
    expect((await ask('192.0.2.1')).status).toBe(200);
    expect((await server.call('GET', '/v1/models', undefined, inTenant)).status).toBe(200);
    const wrong = await server.call('PATCH', '/api/v1/tenants/walled', { ip_allow_list: ['192.0.2.0/99'] });
    expect(wrong.json).toMatchObject({ status: 422, errors: [{ path: 'ip_allow_list.0' }] });
  });
});

describe('a key for some models', () => {
  it('calls them in every dialect, and no others, whatever route leads there', async () => {
    const route = (provider: string, model: string) => ({
      tiers: [{ targets: [{ provider, model, weight: 1 }] }],
    });
    await server.call('PUT', '/api/v1/routes/cheap', route('openai', 'gpt-4o-mini'));
    await server.call('PUT', '/api/v1/routes/dear', route('openai', 'gpt-4o'));
    const { id, key } = await make({ model_allow_list: ['openai/gpt-4o-mini'] });
    const messages = [{ role: 'user', content: 'Hi' }];
    const asks: [string, (model: string) => object][] = [
      ['/v1/chat/completions', (model) => ({ model, messages })],
      ['/v1/messages', (model) => ({ model, messages, max_tokens: 10 })],
      ['/v1/responses', (model) => ({ model, input: 'Hi' })],
    ];
    for (const [path, body] of asks) {
      const ask = async (model: string) => (await call(server.url, key, 'POST', path, body(model))).status;
      expect({ path, status: await ask('openai/gpt-4o-mini') }).toEqual({ path, status: 200 });
      expect({ path, status: await ask('cheap') }).toEqual({ path, status: 200 });
      expect({ path, status: await ask('dear') }).toEqual({ path, status: 403 });
      expect({ path, status: await ask('openai/gpt-4o') }).toEqual({ path, status: 403 });
    }
    await server.call('PATCH', `/api/v1/keys/${id}`, { model_allow_list: ['dear'] });
    expect(
      (await call(server.url, key, 'POST', '/v1/chat/completions', { model: 'dear', messages })).status,
    ).toBe(200);
    expect(
      (await call(server.url, key, 'POST', '/v1/chat/completions', { model: 'cheap', messages })).status,
    ).toBe(403);
  });
});
