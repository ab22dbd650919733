import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { call, type Reply, type RunningServer, removeDirectory, startServer } from './harness/server.ts';

/** A tenant's day with budgets: set up, met by model calls, shown, spent, and kept through a kill. */
const adminHeaders = (slug: string) => ({ 'x-tenant-id': slug });
let simulator: Simulator;
let upstreamUrl: string;
let server: RunningServer;
const keys = new Map<string, { id: string; key: string }>();

const inTenant = (slug: string, method: string, path: string, body?: unknown) =>
  server.call(method, `/api/v1${path}`, body, adminHeaders(slug));
/** A call that is allowed 100 tokens and gets as many. */
const chat = (
  slug: string,
  given: { headers?: Record<string, string>; body?: Record<string, unknown> } = {},
): Promise<Reply> =>
  call(
    server.url,
    keys.get(slug)?.key ?? '',
    'POST',
    '/v1/chat/completions',
    {
      model: 'sim/gpt-4o',
      max_tokens: 100,
      messages: [{ role: 'user', content: 'Tell me of the sea' }],
      ...given.body,
    },
    given.headers,
  );
const ledger = async (slug: string) =>
  (await inTenant(slug, 'GET', '/costs/ledger?limit=200')).json.calls as {
    cost_usd: string;
    status: string;
    estimated: boolean;
  }[];
/** A decimal of nine places as nano-dollars. */
const nano = (usd: string) => BigInt(usd.replace('.', ''));

async function tenant(slug: string): Promise<void> {
  expect((await server.call('POST', '/api/v1/tenants', { name: slug, slug })).status).toBe(201);
  const made = await inTenant(slug, 'POST', '/keys', { name: 'app', role: 'analyst' });
  keys.set(slug, { id: made.json.id, key: made.json.key });
}

beforeAll(async () => {
  simulator = createSimulator({ seed: 5, answerTokens: 100, cachedTokens: 0 });
  upstreamUrl = `${(await simulator.start()).url}/v1`;
  server = await startServer();
  expect(
    (await server.call('POST', '/api/v1/providers', { name: 'sim', kind: 'openai', base_url: upstreamUrl }))
      .status,
  ).toBe(201);
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

describe('setting a budget', () => {
  const good = { scope: 'tenant', period: 'month', limit_usd: '25.00' };

  it('takes dollars exactly, and tells how it stands', async () => {
    await tenant('exact');
    const made = await inTenant('exact', 'POST', '/costs/budget', { ...good, limit_usd: '0.000000001' });
    expect(made.status).toBe(201);
    expect(made.json).toMatchObject({
      scope: 'tenant',
      scope_id: null,
      limit_usd: '0.000000001',
      alert_threshold_percent: 80,
      hard_limit: false,
      on_unpriced: 'allow',
      spent_usd: '0.000000000',
      reserved_usd: '0.000000000',
      left_usd: '0.000000001',
      state: 'within',
    });
    expect(new Date(made.json.period_end).getTime()).toBeGreaterThan(Date.now());
    const path = `/costs/budgets/${made.json.id}`;
    const changed = await inTenant('exact', 'PATCH', path, { limit_usd: 12.5, alert_threshold_percent: 50 });
    expect(changed.json).toMatchObject({ limit_usd: '12.500000000', alert_threshold_percent: 50 });
    expect((await inTenant('exact', 'GET', path)).json).toMatchObject({ limit_usd: '12.500000000' });
    expect((await inTenant('exact', 'GET', '/costs/budgets')).json.budgets).toHaveLength(1);
    expect((await inTenant('exact', 'DELETE', path)).status).toBe(204);
    expect((await inTenant('exact', 'GET', path)).status).toBe(404);
    expect((await inTenant('exact', 'PATCH', path, { hard_limit: true })).status).toBe(404);
    expect((await inTenant('exact', 'DELETE', path)).status).toBe(404);
  });

  it('refuses what is no budget, names the field and saves nothing', async () => {
    await tenant('strict');
    const wrong: [string, Record<string, unknown> | string][] = [
      ['limit_usd', { ...good, limit_usd: '-1' }],
      ['limit_usd', { ...good, limit_usd: -1 }],
      ['limit_usd', { ...good, limit_usd: 0 }],
      ['limit_usd', { ...good, limit_usd: '0.0' }],
      ['limit_usd', { ...good, limit_usd: 'NaN' }],
      ['limit_usd', { ...good, limit_usd: null }],
      ['limit_usd', { ...good, limit_usd: true }],
      ['limit_usd', { ...good, limit_usd: '1e3' }],
      ['limit_usd', { ...good, limit_usd: '1,000' }],
      ['limit_usd', { ...good, limit_usd: ' 1' }],
      ['limit_usd', { ...good, limit_usd: 0.1 + 0.2 }],
      ['limit_usd', { ...good, limit_usd: '1.0000000001' }],
      ['limit_usd', { ...good, limit_usd: 9_000_001 }],
      ['limit_usd', { ...good, limit_usd: '9000000.000000001' }],
      ['limit_usd', { ...good, limit_usd: '9'.repeat(39) }],
      ['limit_usd', { ...good, limit_usd: '9'.repeat(10_000) }],
      ['limit_usd', '{"scope":"tenant","period":"month","limit_usd":1e400}'],
      ['limit_usd', { scope: 'tenant', period: 'month' }],
      ['scope', { ...good, scope: 'team' }],
      ['scope', { period: 'month', limit_usd: 1 }],
      ['scope_id', { ...good, scope_id: 'x' }],
      ['scope_id', { ...good, scope: 'user' }],
      ['scope_id', { ...good, scope: 'user', scope_id: 'nobody' }],
      ['scope_id', { ...good, scope: 'user', scope_id: randomUUID() }],
      ['scope_id', { ...good, scope: 'key', scope_id: 'key_unknown' }],
      ['scope_id', { ...good, scope: 'key', scope_id: keys.get('exact')?.id }],
      ['scope_id', { ...good, scope: 'tag', scope_id: 'a,b' }],
      ['scope_id', { ...good, scope: 'tag', scope_id: '' }],
      ['scope_id', { ...good, scope: 'prompt', scope_id: 'two words' }],
      ['scope_id', { ...good, scope: 'model', scope_id: 'x'.repeat(301) }],
      ['period', { ...good, period: 'year' }],
      ['alert_threshold_percent', { ...good, alert_threshold_percent: 0 }],
      ['alert_threshold_percent', { ...good, alert_threshold_percent: 101 }],
      ['alert_threshold_percent', { ...good, alert_threshold_percent: 79.5 }],
      ['hard_limit', { ...good, hard_limit: 'yes' }],
      ['on_unpriced', { ...good, on_unpriced: 'ignore' }],
    ];
    for (const [field, body] of wrong) {
      const reply = await inTenant('strict', 'POST', '/costs/budget', body);
      const what = `${JSON.stringify(body).slice(0, 200)}: ${reply.text}`;
      expect(reply.status, what).toBe(422);
      expect(
        reply.json.errors.map((error: { path: string }) => error.path),
        what,
      ).toContain(field);
    }
    expect((await inTenant('strict', 'POST', '/costs/budget', { ...good, amount: 5 })).status).toBe(422);
    expect((await inTenant('strict', 'GET', '/costs/budgets')).json.budgets).toEqual([]);
  });

  it('takes one for each scope and period; a second says where the first is', async () => {
    await tenant('once');
    const first = await inTenant('once', 'POST', '/costs/budget', good);
    const again = await inTenant('once', 'POST', '/costs/budget', { ...good, limit_usd: '1' });
    expect(again.status).toBe(422);
    expect(again.json.errors).toEqual([
      { path: 'period', message: expect.stringContaining(`/api/v1/costs/budgets/${first.json.id}`) },
    ]);
    expect((await inTenant('once', 'POST', '/costs/budget', { ...good, period: 'day' })).status).toBe(201);
    const many = await Promise.all(
      Array.from({ length: 8 }, () =>
        inTenant('once', 'POST', '/costs/budget', { ...good, scope: 'tag', scope_id: 'beta' }),
      ),
    );
    expect(many.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(422)]);
    const { budgets } = (await inTenant('once', 'GET', '/costs/budgets')).json;
    expect(budgets).toHaveLength(3);
    const bad = await inTenant('once', 'PATCH', `/costs/budgets/${first.json.id}`, { limit_usd: '0' });
    expect(bad.status).toBe(422);
    expect((await inTenant('once', 'PATCH', `/costs/budgets/${first.json.id}`, {})).status).toBe(422);
    expect(
      (await inTenant('once', 'PATCH', `/costs/budgets/${first.json.id}`, { scope: 'tag' })).status,
    ).toBe(422);
    expect((await inTenant('once', 'GET', `/costs/budgets/${first.json.id}`)).json.limit_usd).toBe(
      '25.000000000',
    );
    // Another tenant sees, changes and deletes none of it.
    const path = `/costs/budgets/${first.json.id}`;
    expect((await inTenant('exact', 'GET', path)).status).toBe(404);
    expect((await inTenant('exact', 'PATCH', path, { limit_usd: '1' })).status).toBe(404);
    expect((await inTenant('exact', 'DELETE', path)).status).toBe(404);
    expect((await inTenant('exact', 'GET', '/costs/budgets')).json.budgets).toEqual([]);
  });
});

describe('a hard limit', () => {
  it('refuses with 402 what does not fit, says what is left, and lets what fits through', async () => {
    await tenant('spender');
    const { id } = (
      await inTenant('spender', 'POST', '/costs/budget', {
        scope: 'key',
        scope_id: keys.get('spender')?.id,
        period: 'day',
        limit_usd: '0.0025',
        hard_limit: true,
      })
    ).json;
    // 100 tokens of gpt-4o are 0.001 dollars, and the question a little more.
    expect((await chat('spender')).status).toBe(200);
    expect((await chat('spender')).status).toBe(200);
    const refused = await chat('spender');
    expect(refused.status).toBe(402);
    expect(refused.json.error.message).toContain('starts anew at');
    const shown = (await inTenant('spender', 'GET', `/costs/budgets/${id}`)).json;
    const spent = (await ledger('spender')).reduce((sum, row) => sum + nano(row.cost_usd), 0n);
    expect(nano(shown.spent_usd)).toBe(spent);
    expect(nano(shown.left_usd)).toBe(2_500_000n - spent);
    expect(shown).toMatchObject({ reserved_usd: '0.000000000', state: 'alert' });
    expect((await chat('spender', { body: { max_tokens: 20 } })).status).toBe(200);
    // The next call meets it as it is then.
    await inTenant('spender', 'PATCH', `/costs/budgets/${id}`, { limit_usd: '0.01' });
    expect((await chat('spender')).status).toBe(200);
    await inTenant('spender', 'PATCH', `/costs/budgets/${id}`, { limit_usd: '0.001' });
    expect((await chat('spender', { body: { max_tokens: 1 } })).status).toBe(402);
    await inTenant('spender', 'DELETE', `/costs/budgets/${id}`);
    expect((await chat('spender')).status).toBe(200);
  });

  it('of a tag concerns calls with that tag only', async () => {
    await tenant('tagged');
    await inTenant('tagged', 'POST', '/costs/budget', {
      scope: 'tag',
      scope_id: 'beta',
      period: 'week',
      limit_usd: '0.0000001',
      hard_limit: true,
    });
    expect((await chat('tagged', { headers: { 'x-gatehouse-tags': 'alpha, beta' } })).status).toBe(402);
    expect((await chat('tagged', { headers: { 'x-gatehouse-tags': 'alpha' } })).status).toBe(200);
  });

  it('of five cents is not passed by a crowd, and is used', async () => {
    await tenant('crowd');
    const { id } = (
      await inTenant('crowd', 'POST', '/costs/budget', {
        scope: 'tenant',
        period: 'month',
        limit_usd: '0.05',
        hard_limit: true,
      })
    ).json;
    const replies = await Promise.all(Array.from({ length: 100 }, () => chat('crowd')));
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200, 402]));
    const { spent_usd, reserved_usd } = (await inTenant('crowd', 'GET', `/costs/budgets/${id}`)).json;
    expect(nano(spent_usd)).toBeLessThanOrEqual(50_000_000n);
    expect(nano(spent_usd)).toBeGreaterThanOrEqual(47_500_000n);
    expect(reserved_usd).toBe('0.000000000');
  });

  it('outlives a kill in the middle: what was under way is in the books', async () => {
    await tenant('killed');
    const body = { scope: 'tenant', period: 'month', limit_usd: '0.02', hard_limit: true };
    const { id } = (await inTenant('killed', 'POST', '/costs/budget', body)).json;
    for (let i = 0; i < 3; i++) expect((await chat('killed')).status).toBe(200);
    const before = await ledger('killed');
    simulator.setPace({ latencyMs: 30_000 });
    const seen = simulator.calls().length;
    const cut = Array.from({ length: 5 }, () => chat('killed').catch(() => null));
    await simulator.waitForCall(({ number }) => number >= seen + 5, 20_000);
    await server.kill9();
    await Promise.all(cut);
    simulator.setPace({ latencyMs: 0 });
    server = await startServer({ dataDir: server.dataDir });
    const after = await ledger('killed');
    expect(after.filter(({ status }) => status === 'ok')).toHaveLength(before.length);
    const lost = after.filter(({ status }) => status === 'lost');
    expect(lost).toHaveLength(5);
    for (const row of lost) {
      expect(row.estimated).toBe(true);
      expect(nano(row.cost_usd)).toBeGreaterThan(1_000_000n);
    }
    const { spent_usd } = (await inTenant('killed', 'GET', `/costs/budgets/${id}`)).json;
    expect(nano(spent_usd)).toBe(after.reduce((sum, row) => sum + nano(row.cost_usd), 0n));
    const replies = await Promise.all(Array.from({ length: 30 }, () => chat('killed')));
    expect(replies.filter(({ status }) => status === 402).length).toBeGreaterThan(10);
    const end = (await inTenant('killed', 'GET', `/costs/budgets/${id}`)).json;
    expect(nano(end.spent_usd)).toBeLessThanOrEqual(20_000_000n);
    expect(nano(end.spent_usd)).toBeGreaterThanOrEqual(18_800_000n);
  });
});
