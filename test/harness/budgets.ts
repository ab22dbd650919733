import type { Principal } from '../../src/access/index.ts';
import {
  type Budgets,
  type Costs,
  createBudgets,
  createBudgetsStore,
  createCosts,
  createLedgerStore,
  createPriceCatalogue,
  noUsage,
} from '../../src/costs/index.ts';
import { createReportStore } from '../../src/costs/reports/report.store.ts';
import { type Counters, createMemoryCounters } from '../../src/limits/index.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import type { Database } from '../../src/platform/database/database.ts';
import type { Notifications } from '../../src/platform/database/notifications.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLog } from '../../src/platform/log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { addTenant as insertTenant } from './tenants.ts';

const newId = createIds(systemClock, systemRandom);

/** 2.50 dollars per million tokens in, 10 per million out: 10,000 nano-dollars for each token that is written. */
export const gpt4o = { provider: { name: 'sim', baseUrl: 'http://127.0.0.1:1/v1' }, model: 'gpt-4o' };
export const gpt4oMini = { ...gpt4o, model: 'gpt-4o-mini' };
export const unknownModel = { ...gpt4o, model: 'never-heard-of' };

export async function addTenant(database: Database, slug: string, timeZone = 'UTC'): Promise<string> {
  const id = newId();
  await insertTenant(database, id, slug, timeZone);
  return id;
}

export function principalOf(tenantId: string, given: Partial<Principal> = {}, timeZone = 'UTC'): Principal {
  return {
    tenantId,
    readerTokens: [],
    tenant: {
      id: tenantId,
      slug: 't',
      name: 't',
      tier: 'starter',
      region: 'eu',
      status: 'active',
      timeZone,
    },
    keyId: 'key_test',
    userId: null,
    role: 'admin',
    groups: [],
    permissions: new Set(),
    actsInNamedTenant: false,
    internal: false,
    ...given,
  };
}

/** What a simulated call is like. */
export interface SimulatedCall {
  readonly principal: Principal;
  readonly target?: typeof gpt4o;
  readonly route?: string | null;
  readonly promptId?: string | null;
  readonly tags?: readonly string[];
  /** What it writes, and what its caller allows. */
  readonly outputTokens: number;
  readonly maxTokens: number;
  /** Resolves when the provider has answered. */
  readonly answered?: () => Promise<void>;
}

export interface BudgetsProcess {
  readonly id: string;
  readonly costs: Costs;
  readonly budgets: Budgets;
  readonly counters: Counters;
  now(): Date;
  /** @returns what it came to, nano-dollars; null: nobody knows. */
  call(call: SimulatedCall): Promise<bigint | null | 'refused' | 'killed'>;
  /** Ends without having written anything more to the database, as kill -9 would. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export interface BudgetsProcessOptions {
  readonly database: Database;
  readonly dataDir: string;
  readonly id?: string;
  /** Absent: counters of its own. */
  readonly counters?: Counters;
  readonly onWanted?: (listener: (tenantId: string, counters: readonly string[]) => void) => void;
  readonly liveWriters?: () => readonly string[];
  readonly subscribe?: Notifications['subscribe'];
  /** Run right before, and right after, the ledger is summed to make a counter known. */
  readonly aroundSum?: { readonly before: () => Promise<unknown>; readonly after: () => Promise<unknown> };
  readonly clock?: Clock;
  readonly timeZoneOf?: (tenantId: string) => string;
  readonly patienceMs?: number;
}

/** The part of a server that accounts for calls, with simulated calls that take the steps which real ones take. */
export async function startBudgetsProcess(options: BudgetsProcessOptions): Promise<BudgetsProcess> {
  const { database, dataDir, clock = systemClock } = options;
  const id = options.id ?? newId();
  const log = createLog('silent');
  const store = createLedgerStore(database);
  let dead = false;
  const costs = createCosts({
    store: { ...store, add: (rows) => (dead ? Promise.reject(new Error('dead')) : store.add(rows)) },
    catalogue: createPriceCatalogue(),
    clock,
    newId,
    metrics: createMetrics(),
    log,
    dataDir,
    writerId: id,
    recorded: (row) => {
      if (!dead) budgets.recorded(row);
    },
  });
  const counters = options.counters ?? createMemoryCounters({ clock, writer: id });
  const stored = createBudgetsStore(database);
  const budgetsStore: typeof stored = {
    ...stored,
    async spentByWriters(...asked) {
      await options.aroundSum?.before();
      const sums = await stored.spentByWriters(...asked);
      await options.aroundSum?.after();
      return sums;
    },
  };
  const timeZoneOf = options.timeZoneOf ?? (() => 'UTC');
  const budgets = createBudgets({
    store: budgetsStore,
    spent: createReportStore(database).spent,
    counters,
    costs,
    tenant: (tenantId) => ({ timeZone: timeZoneOf(tenantId) }),
    writerId: id,
    liveWriters: options.liveWriters ?? (() => [id]),
    ...(options.onWanted ? { onWanted: options.onWanted } : {}),
    dataDir,
    subscribe: options.subscribe ?? (() => {}),
    clock,
    newId,
    log,
    ...(options.patienceMs === undefined ? {} : { patience: { ms: options.patienceMs, waiters: 1_000 } }),
  });
  costs.start();
  await budgets.start();

  let freed: (() => void)[] = [];
  /** Of calls that end in another process nobody tells. */
  const untilFreed = () =>
    Promise.race([new Promise<void>((resolve) => freed.push(resolve)), systemClock.sleep(20)]);
  const tellFreed = () => {
    const waiting = freed;
    freed = [];
    for (const wake of waiting) wake();
  };

  const admitted = async (callId: string, call: SimulatedCall, outputTokens: number): Promise<boolean> => {
    const { principal, target = gpt4o } = call;
    const { gate } = budgets;
    const spender = {
      principal,
      promptId: call.promptId ?? null,
      tags: call.tags ?? [],
      model: target.model,
    };
    const at = clock.now();
    const cost = costs.estimate(target, { ...noUsage, outputTokens });
    const demands = gate.demandsFor({ ...spender, route: call.route ?? null, at }, cost);
    if (demands.length === 0) return true;
    const untilMs = clock.monotonicMs() + gate.patience.ms;
    for (;;) {
      const decision = await counters.admit({ group: principal.tenantId, id: callId, demands });
      if (decision.outcome === 'admitted') {
        gate.noteUnderWay({
          id: callId,
          at,
          principal,
          correlationId: 'c',
          promptId: spender.promptId,
          tags: spender.tags,
          operation: 'chat',
          dialect: 'openai-chat',
          route: call.route ?? null,
          provider: target.provider,
          model: target.model,
          tier: 'primary',
          streamed: false,
          inputTokens: 0,
          outputTokens,
        });
        return true;
      }
      if (decision.outcome === 'unknown') await gate.establish(principal, decision.counters);
      else if (!decision.heldByOthers || clock.monotonicMs() >= untilMs) return false;
      else await untilFreed();
    }
  };

  const end = async (): Promise<void> => {
    await costs.stop();
    await budgets.stop();
  };

  return {
    id,
    costs,
    budgets,
    counters,
    now: clock.now,
    async call(call) {
      const { principal, target = gpt4o } = call;
      const callId = newId();
      const of = { tenantId: principal.tenantId, route: call.route ?? null, model: target.model };
      const at = clock.now();
      const reserved = budgets.outputSizes.expect(of, call.maxTokens);
      if (!(await admitted(callId, call, reserved))) return 'refused';
      await call.answered?.();
      if (dead) return 'killed';
      budgets.outputSizes.learn(of, call.outputTokens);
      const { costNanoUsd, written } = costs.record(
        {
          id: callId,
          callId,
          attempt: 1,
          attempts: 1,
          final: true,
          at,
          tenantId: principal.tenantId,
          correlationId: 'c',
          keyId: principal.keyId,
          userId: principal.userId,
          promptId: call.promptId ?? null,
          tags: call.tags ?? [],
          operation: 'chat',
          dialect: 'openai-chat',
          route: call.route ?? null,
          provider: target.provider.name,
          model: target.model,
          responseModel: null,
          tier: 'primary',
          status: 'ok',
          errorCode: null,
          streamed: false,
          rawUsage: null,
          estimated: false,
          usage: { ...noUsage, outputTokens: call.outputTokens },
          savedNanoUsd: null,
          durationMs: 1,
          firstTokenMs: null,
        },
        target,
      );
      await written;
      counters.settle(principal.tenantId, callId, new Map());
      tellFreed();
      return costNanoUsd;
    },
    async kill() {
      dead = true;
      tellFreed();
      // Its files stay as they are: those of the notes are left open, and the spool gives up at once.
      await costs.stop();
    },
    stop: end,
  };
}
