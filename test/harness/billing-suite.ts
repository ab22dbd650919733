import { afterAll, beforeAll, expect } from 'vitest';
import { createSimulator, type Simulator } from '../../tools/simulator/server.ts';
import { call, type RunningServer, removeDirectory, startServer } from './server.ts';

/** A server with the tenants `north` and `south`, whose calls a simulated provider answers. */
export function billingSuite() {
  let simulator: Simulator;
  let server: RunningServer;
  const keys: Record<string, string> = {};

  /** As the tenant's admin; what invoices are made of is set by an owner who names the tenant. */
  const as = (who: string, method: string, path: string, body?: unknown) =>
    method !== 'GET' && /\/costs\/(prices|discounts|adjustments)/.test(path)
      ? server.call(method, path, body, { 'x-tenant-id': who })
      : call(server.url, keys[who] ?? '', method, path, body);

  beforeAll(async () => {
    simulator = createSimulator({ seed: 5 });
    const upstream = await simulator.start();
    server = await startServer();
    for (const [slug, name] of [
      ['north', 'Müller & Søn'],
      ['south', 'South'],
    ]) {
      const made = await server.call('POST', '/api/v1/tenants', {
        name,
        slug,
        tier: 'professional',
        region: 'eu',
      });
      expect(made.status).toBe(201);
      const key = await server.call(
        'POST',
        '/api/v1/keys',
        { name: 'admin', role: 'admin' },
        { 'x-tenant-id': slug ?? '' },
      );
      keys[slug ?? ''] = key.json.key;
    }
    const provider = { name: 'sim', kind: 'openai', base_url: `${upstream.url}/v1` };
    expect((await server.call('POST', '/api/v1/providers', provider)).status).toBe(201);
  });
  afterAll(async () => {
    await server.stop();
    await simulator.stop();
    await removeDirectory(server.dataDir);
  });

  async function ask(who: string, model = 'gpt-4o-mini') {
    const reply = await as(who, 'POST', '/v1/chat/completions', {
      model: `sim/${model}`,
      messages: [{ role: 'user', content: 'How is the weather at sea?' }],
    });
    expect(reply.status).toBe(200);
    return reply.json.usage as { prompt_tokens: number; completion_tokens: number };
  }

  return {
    server: () => server,
    keys,
    as,
    ask,
    ledger: async (who: string) => (await as(who, 'GET', '/api/v1/costs/ledger')).json.calls as any[],
    draft: async (who: string) => (await as(who, 'GET', `/api/v1/costs/invoices/${month()}`)).json,
  };
}

export const month = () => new Date().toISOString().slice(0, 7);
/** Exact, as a spreadsheet would not be. */
export const nano = (usd: string) => BigInt(usd.replace('.', ''));
export const today = () => ({
  from: `${month()}-01T00:00:00Z`,
  to: new Date(Date.now() + 3_600_000).toISOString(),
});
