import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Access, Principal } from '../../src/access/index.ts';
import { permissionsOfRole } from '../../src/access/index.ts';
import { createCosts, createPriceCatalogue, type RecordedRow } from '../../src/costs/index.ts';
import {
  createGateway,
  type Gateway,
  type GatewayHooks,
  type GatewayTimeouts,
  type InFlightBounds,
  type ModelCall,
  type Reservations,
  type RetryBudgetRules,
  type Step,
} from '../../src/gateway/index.ts';
import { createHttp, type HttpServer, streamError } from '../../src/http/index.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLog } from '../../src/platform/log.ts';
import { createMetrics, type Metrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createSecretBox } from '../../src/platform/secret-box.ts';
import {
  createRouting,
  createTargetHealth,
  type GivenProvider,
  type HealthRules,
  type ProviderKind,
  type ProviderSettings,
  type RouteCache,
  type Routing,
  type RoutingRows,
  type Strategy,
  type TargetKnowledge,
} from '../../src/routing/index.ts';

import { entranceOf, openDoors, openEntrance } from './open-doors.ts';

/** A ledger row as it was spooled, with what the table holds where the spool leaves something out. */
export type SpooledRow = Readonly<Record<string, unknown>>;

const asStored = (row: SpooledRow): SpooledRow => ({
  ...leftOut,
  call_id: row.id,
  attempt: row.attempts,
  ...row,
});
const leftOut = {
  ...{ user_id: null, route: null, response_model: null, error_code: null, prompt_id: null },
  ...{ price_version: null, price_id: null, price: null, cost_nano_usd: null, saved_nano_usd: null },
  ...{ first_token_ms: null, raw_usage: null },
  ...{ final: true, streamed: false, estimated: false, tags: [] },
  ...{ input_tokens: 0, cached_read_tokens: 0, cache_write_5m_tokens: 0, cache_write_1h_tokens: 0 },
  ...{ output_tokens: 0, reasoning_tokens: 0, image_tokens: 0, audio_tokens: 0 },
};

export interface ModelPath {
  readonly url: string;
  readonly http: HttpServer;
  readonly gateway: Gateway;
  readonly routing: Routing;
  readonly metrics: Metrics;
  readonly principal: Principal;
  /** Steps of all calls, in the order in which they were taken. */
  readonly steps: { readonly step: Step; readonly call: ModelCall }[];
  /** Rows on their way to the ledger, once all calls that have ended are there. */
  ledger(): Promise<SpooledRow[]>;
  stop(): Promise<void>;
}

/** A provider for a test; what is absent is as for a bare address. */
export interface ProviderOfTest {
  readonly baseUrl: string;
  /** `openai` when absent. */
  readonly kind?: ProviderKind;
  /** One key, `sk-test-upstream`, when absent; none when empty. */
  readonly keys?: readonly { readonly value: string; readonly weight?: number }[];
  readonly settings?: ProviderSettings;
}

export type TiersOfTest = readonly (readonly { provider: string; model: string; weight?: number }[])[];

export interface RouteOfTest {
  readonly tiers: TiersOfTest;
  readonly strategy?: Strategy;
  readonly cache?: RouteCache;
}

export interface ModelPathOptions {
  /** Providers by name: an address, or more than that. */
  readonly providers?: Readonly<Record<string, string | ProviderOfTest>>;
  /** Routes by name: their tiers, or more than that. */
  readonly routes?: Readonly<Record<string, TiersOfTest | RouteOfTest>>;
  readonly hooks?: GatewayHooks;
  readonly timeouts?: Partial<GatewayTimeouts>;
  readonly bounds?: Partial<InFlightBounds>;
  readonly retryBudget?: Partial<RetryBudgetRules>;
  /** When breakers open, and for how long. */
  readonly health?: Partial<HealthRules>;
  readonly clock?: Clock;
  readonly spoolMaxBytes?: number;
  /** What routes of the strategy `least_latency` go by; nobody knows any when absent. */
  readonly latencyMs?: TargetKnowledge['latencyMs'];
  /** Nothing is limited when absent; else requests over HTTP are, too. */
  readonly reservations?: Reservations;
  /** Told of each ledger row. */
  readonly recorded?: (row: RecordedRow) => void;
}

const tenantId = '01920000-0000-7000-8000-000000000001';

/**
 * The model path from socket to socket, with everything real but the database: routes are given, and the ledger's rows
 * are read where the database would take them.
 */
export async function startModelPath(options: ModelPathOptions): Promise<ModelPath> {
  const clock = options.clock ?? systemClock;
  const newId = createIds(clock, systemRandom);
  const log = createLog('silent');
  const metrics = createMetrics();
  const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-model-path-'));
  const rows: SpooledRow[] = [];
  const costs = createCosts({
    store: {
      add: async (added) => {
        rows.push(...added.map((row) => asStored(JSON.parse(row))));
      },
      sums: () => Promise.reject(new Error('there is no database here')),
      page: () => Promise.reject(new Error('there is no database here')),
    },
    catalogue: createPriceCatalogue(),
    clock,
    newId,
    metrics,
    log,
    dataDir,
    ...(options.recorded ? { recorded: options.recorded } : {}),
    ...(options.spoolMaxBytes === undefined ? {} : { spoolMaxBytes: options.spoolMaxBytes }),
  });
  const health = createTargetHealth({
    clock,
    random: systemRandom,
    log,
    metrics,
    ...(options.health ? { rules: options.health } : {}),
  });
  const routing = createRouting({
    store: memoryStore(options),
    secretBox: createSecretBox(Buffer.alloc(32, 1), systemRandom),
    clock,
    newId,
    random: systemRandom,
    log,
    knowledge: { latencyMs: options.latencyMs ?? health.latencyMs, estimate: costs.estimate },
    environmentProviders: Object.entries(options.providers ?? {}).map(givenProvider),
    subscribe: () => {},
  });
  const steps: { step: Step; call: ModelCall }[] = [];
  const gateway = createGateway({
    routing,
    health,
    costs,
    reservations: options.reservations ?? openDoors(),
    clock,
    newId,
    random: systemRandom,
    metrics,
    describeError: streamError,
    onStep: (step, call) => steps.push({ step, call }),
    ...(options.hooks ? { hooks: options.hooks } : {}),
    ...(options.timeouts ? { timeouts: options.timeouts } : {}),
    ...(options.bounds ? { bounds: options.bounds } : {}),
    ...(options.retryBudget ? { retryBudget: options.retryBudget } : {}),
  });
  const principal = principalOfTest();
  const http = await createHttp({
    limits: options.reservations ? entranceOf(options.reservations) : openEntrance(),
    access: { authenticate: () => principal } as unknown as Access,
    clock,
    newId,
    log,
    metrics,
    version: 'test',
    platformRoutes: [],
    modelRoutes: [gateway.routes],
    rootRoutes: [],
  });
  costs.start();
  await routing.start();
  gateway.start();
  const port = await http.listen('127.0.0.1', 0);
  return {
    url: `http://127.0.0.1:${port}`,
    http,
    gateway,
    routing,
    metrics,
    principal,
    steps,
    async ledger() {
      await costs.flush();
      return rows;
    },
    async stop() {
      await http.stop(200);
      await gateway.stop();
      await costs.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

function givenProvider([name, of]: [string, string | ProviderOfTest]): GivenProvider {
  const given: ProviderOfTest = typeof of === 'string' ? { baseUrl: of } : of;
  return {
    name,
    kind: given.kind ?? 'openai',
    baseUrl: given.baseUrl,
    apiKey: null,
    apiKeys: (given.keys ?? [{ value: 'sk-test-upstream' }]).map((key) => ({ weight: 1, ...key })),
    settings: given.settings ?? {},
  };
}

function principalOfTest(): Principal {
  return {
    tenant: {
      id: tenantId,
      slug: 'test',
      name: 'Test',
      tier: 'starter',
      region: 'eu',
      status: 'active',
      timeZone: 'UTC',
    },
    tenantId,
    keyId: 'key-of-test',
    userId: null,
    role: 'analyst',
    groups: [],
    permissions: new Set(permissionsOfRole.analyst),
    readerTokens: [],
    actsInNamedTenant: false,
    internal: false,
  };
}

function memoryStore({ routes }: ModelPathOptions): RoutingRows {
  const at = new Date('2026-01-01T00:00:00Z');
  const rows = Object.entries(routes ?? {}).map(([name, of], index) => ({
    id: `route-${index}`,
    tenant_id: tenantId,
    name,
    strategy: 'weighted' as const,
    cache: { mode: 'off' as const },
    ...('tiers' in of ? of : {}),
    tiers: ('tiers' in of ? of.tiers : of).map((targets) => ({
      targets: targets.map((target) => ({ weight: 1, ...target })),
    })),
    created_by: 'test',
    created_at: new Date(at.getTime() + index),
    updated_at: at,
  }));
  return {
    allProviders: async () => [],
    allRoutes: async () => rows,
    insertProvider: async () => {},
    updateProvider: async () => true,
    deleteProvider: async () => true,
    putRoute: async () => {},
    deleteRoute: async () => true,
  };
}
