import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Access, type Principal, permissionsOfRole, type Role } from '../src/access/index.ts';
import {
  type Costs,
  costsRoutes,
  createCosts,
  createLedgerStore,
  createPriceCatalogue,
} from '../src/costs/index.ts';
import { createGateway, type Gateway, wayTo } from '../src/gateway/index.ts';
import { createHttp, type HttpServer, streamError } from '../src/http/index.ts';
import { systemClock as clock } from '../src/platform/clock.ts';
import { createIds } from '../src/platform/ids.ts';
import { createLog } from '../src/platform/log.ts';
import { createMetrics } from '../src/platform/metrics.ts';
import { systemRandom } from '../src/platform/random.ts';
import { createSecretBox } from '../src/platform/secret-box.ts';
import {
  createRouting,
  createRoutingStore,
  createTargetHealth,
  routingRoutes,
} from '../src/routing/index.ts';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import { createTestDatabase, type TestDatabase } from './harness/database.ts';
import { openDoors, openEntrance } from './harness/open-doors.ts';
import { addTenant } from './harness/tenants.ts';

/** The whole model path as its users meet it, with a real database: by HTTP from a provider's set-up to the bill. */
const newId = createIds(clock, systemRandom);
const log = createLog('silent');
const tenantId = newId();
let test: TestDatabase;
let simulator: Simulator;
let providerUrl: string;
let dataDir: string;
let url: string;
let http: HttpServer;
let gateway: Gateway;
let costs: Costs;

beforeAll(async () => {
  test = await createTestDatabase();
  await addTenant(test.database, tenantId, 'acme');
  simulator = createSimulator({ seed: 3, apiKey: 'sk-test-0123456789' });
  providerUrl = `${(await simulator.start()).url}/v1/`;
  dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-model-path-'));
  const metrics = createMetrics();
  const { database } = test;
  const store = createLedgerStore(database);
  costs = createCosts({ store, catalogue: createPriceCatalogue(), clock, newId, metrics, log, dataDir });
  const targetHealth = createTargetHealth({ clock, random: systemRandom, log, metrics });
  const routing = createRouting({
    store: createRoutingStore(database),
    secretBox: createSecretBox(Buffer.alloc(32, 1), systemRandom),
    clock,
    newId,
    random: systemRandom,
    log,
    knowledge: { latencyMs: targetHealth.latencyMs, estimate: costs.estimate },
    environmentProviders: [],
    subscribe: () => {},
  });
  gateway = createGateway({
    routing,
    health: targetHealth,
    costs,
    reservations: openDoors(),
    clock,
    newId,
    random: systemRandom,
    metrics,
    describeError: streamError,
  });
  http = await createHttp({
    limits: openEntrance(),
    access: { authenticate: (token: string) => principalOf(token as Role) } as unknown as Access,
    clock,
    newId,
    log,
    metrics,
    version: 'test',
    platformRoutes: [routingRoutes(routing, { health: targetHealth, wayTo }), costsRoutes(costs)],
    modelRoutes: [gateway.routes],
    rootRoutes: [],
  });
  costs.start();
  await routing.start();
  gateway.start();
  url = `http://127.0.0.1:${await http.listen('127.0.0.1', 0)}`;
});
afterAll(async () => {
  await http.stop(200);
  await gateway.stop();
  await costs.stop();
  await simulator.stop();
  await test.drop();
  rmSync(dataDir, { recursive: true, force: true });
});

/** In place of keys: the token is the role. An owner acts in the tenant. */
function principalOf(role: Role): Principal {
  return {
    tenant: {
      id: tenantId,
      slug: 'acme',
      name: 'Acme',
      tier: 'starter',
      region: 'eu',
      status: 'active',
      timeZone: 'UTC',
    },
    tenantId,
    keyId: `key-of-${role}`,
    userId: null,
    role,
    groups: [],
    permissions: new Set(permissionsOfRole[role]),
    readerTokens: [],
    actsInNamedTenant: true,
    internal: false,
  };
}

async function call(role: Role, method: string, path: string, body?: unknown) {
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${role}`,
      'x-correlation-id': 'story-of-the-bill',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
  return { status: response.status, text, json };
}

describe('from a provider’s set-up to the bill', () => {
  it('works by HTTP alone', async () => {
    const provider = { name: 'sim', kind: 'openai', base_url: providerUrl, api_key: 'sk-test-0123456789' };
    const made = await call('owner', 'POST', '/api/v1/providers', provider);
    expect(made.status).toBe(201);
    expect(made.json).toMatchObject({ name: 'sim', has_key: true, key_hint: '6789', scope: 'tenant' });
    expect(made.text).not.toContain('sk-test');
    expect((await call('owner', 'POST', '/api/v1/providers', provider)).status).toBe(409);
    expect((await call('admin', 'POST', '/api/v1/providers', { ...provider, name: 'x' })).status).toBe(422);
    expect((await call('analyst', 'POST', '/api/v1/providers', provider)).status).toBe(403);
    expect((await call('admin', 'GET', '/api/v1/providers')).text).not.toContain('sk-test');

    const tiers = [{ targets: [{ provider: 'sim', model: 'gpt-4o-mini' }] }];
    const unknown = await call('admin', 'PUT', '/api/v1/routes/fast', {
      tiers: [{ targets: [{ provider: 'no', model: 'm' }] }],
    });
    expect(unknown.status).toBe(422);
    expect(unknown.json).toMatchObject({ detail: expect.stringContaining('there is no provider "no"') });
    const route = await call('admin', 'PUT', '/api/v1/routes/fast', { tiers });
    expect(route).toMatchObject({
      status: 200,
      json: { tiers: [{ name: 'primary', targets: [{ provider: 'sim', model: 'gpt-4o-mini', weight: 1 }] }] },
    });
    expect((await call('admin', 'GET', '/api/v1/routes/fast')).json).toEqual(route.json);
    expect((await call('admin', 'DELETE', '/api/v1/providers/sim')).status).toBe(409);

    const chat = await call('analyst', 'POST', '/v1/chat/completions', {
      model: 'fast',
      messages: [{ role: 'user', content: 'Hello there' }],
    });
    expect(chat.status).toBe(200);

    const { prompt_tokens: input, completion_tokens: output } = chat.json.usage as Record<string, number>;
    const nano = BigInt(input ?? 0) * 150n + BigInt(output ?? 0) * 600n;
    const costUsd = `0.${String(nano).padStart(9, '0')}`;
    const bill = await call('admin', 'GET', '/api/v1/costs/summary');
    expect(bill.json).toMatchObject({
      total_cost_usd: costUsd,
      calls: 1,
      tokens: { input, output },
      unpriced: { calls: 0, tokens: 0 },
    });
    const ledger = await call('admin', 'GET', '/api/v1/costs/ledger?correlation_id=story-of-the-bill');
    expect(ledger.json).toMatchObject({
      calls: [
        {
          route: 'fast',
          status: 'ok',
          key_id: 'key-of-analyst',
          cost_usd: costUsd,
          raw_usage: chat.json.usage,
        },
      ],
      next_cursor: null,
    });
    expect((await call('analyst', 'GET', '/api/v1/costs/summary')).status).toBe(403);
    expect((await call('admin', 'GET', '/api/v1/costs/summary?from=yesterday')).status).toBe(422);
    expect(
      (await call('admin', 'GET', '/api/v1/costs/summary?from=2025-01-01&to=2025-02-01')).json,
    ).toMatchObject({
      total_cost_usd: '0.000000000',
      calls: 0,
    });

    expect((await call('admin', 'DELETE', '/api/v1/routes/fast')).status).toBe(204);
    expect((await call('admin', 'DELETE', '/api/v1/providers/sim')).status).toBe(204);
    const gone = await call('analyst', 'POST', '/v1/chat/completions', { model: 'fast', messages: [] });
    expect(gone).toMatchObject({ status: 404, json: { error: { code: 'model_not_found' } } });
  });

  it('lists in pages that hold each row once', async () => {
    for (let n = 0; n < 7; n++) {
      const provider = { name: `p${n}`, kind: 'openai', base_url: 'https://models.example.com/v1' };
      expect((await call('admin', 'POST', '/api/v1/providers', provider)).status).toBe(201);
    }
    const names: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const page = await call('admin', 'GET', `/api/v1/providers?limit=3${cursor && `&cursor=${cursor}`}`);
      names.push(...(page.json.providers as { name: string }[]).map((provider) => provider.name));
      cursor = page.json.next_cursor as string | null;
    }
    expect(names).toEqual(['p6', 'p5', 'p4', 'p3', 'p2', 'p1', 'p0']);
  });

  it('is in the published description', async () => {
    const { json } = await call('viewer', 'GET', '/api/v1/openapi.json');
    expect(Object.keys(json.paths as object)).toEqual(
      expect.arrayContaining([
        '/v1/chat/completions',
        '/v1/embeddings',
        '/v1/models',
        '/api/v1/providers',
        '/api/v1/routes/{name}',
        '/api/v1/costs/summary',
      ]),
    );
  });
});
