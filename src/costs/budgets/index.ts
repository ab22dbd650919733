import { join } from 'node:path';
import type { TenantFacts } from '../../access/index.ts';
import type { Counters } from '../../limits/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import type { Costs, RecordedRow } from '../costs.service.ts';
import type { Budget } from './budget.ts';
import type { BudgetGate, OutputSizes } from './budget-gate.ts';
import { createBudgetSnapshot } from './budget-snapshot.ts';
import { type BudgetsService, createBudgetsService, type SpentOnValue } from './budgets.service.ts';
import type { BudgetsStore } from './budgets.store.ts';
import { createCallsUnderWay } from './calls-under-way.ts';
import { createEstablishing } from './establish-counters.ts';
import { createHardLimits } from './hard-limits.ts';
import { createLostCalls } from './lost-calls.ts';
import { createOutputSizes } from './output-sizes.ts';
import { createPeriods } from './period.ts';

export interface BudgetsDependencies {
  readonly store: BudgetsStore;
  /** Of reports, which have it from rollups. */
  readonly spent: SpentOnValue;
  readonly counters: Counters;
  readonly costs: Pick<Costs, 'record' | 'flush' | 'rowsRecorded'>;
  /** Undefined: there is no such tenant. */
  readonly tenant: (id: string) => Pick<TenantFacts, 'timeZone'> | undefined;
  /** This process, as its ledger rows name it, and all that live, this one among them. */
  readonly writerId: string;
  readonly liveWriters: () => readonly string[];
  /** The server's data directory, which this process has locked: notes of calls live in `under-way/` below it. */
  readonly dataDir: string;
  /** Calls back for each message on a channel, and after each gap in hearing them. */
  readonly subscribe: (channel: string, onMessage: (payload: string) => void, onGap: () => void) => void;
  /** Counters that are shared: what another process waits for, because this one has not told it. */
  readonly onWanted?: (listener: (tenantId: string, counters: readonly string[]) => void) => void;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
  readonly patience?: BudgetGate['patience'];
}

export interface Budgets {
  readonly gate: BudgetGate;
  readonly outputSizes: OutputSizes;
  readonly service: BudgetsService;
  /** For the costs that record: tells hard budgets what a row came to. */
  recorded(row: RecordedRow): void;
  /** After the ledger's spool was opened. Puts calls into the books that were under way when the server was killed. */
  start(): Promise<void>;
  /** Before the ledger stops. */
  stop(): Promise<void>;
}

/** Long enough for some of the calls under way to end, short enough for who waits. */
const defaultPatience = { ms: 5_000, waiters: 1_000 };
/** How long the start waits for the books; then calls under a hard limit wait for them instead. */
const booksMs = 5_000;

export function createBudgets(deps: BudgetsDependencies): Budgets {
  const { store, counters, costs, clock, log } = deps;
  const periods = createPeriods();
  const snapshot = createBudgetSnapshot(store, periods, log);
  const underWay = createCallsUnderWay(join(deps.dataDir, 'under-way'), deps.writerId, log);
  const timeZoneOf = (tenantId: string) => deps.tenant(tenantId)?.timeZone;
  const establishing = createEstablishing({
    ...deps,
    snapshot,
    timeZoneOf,
    rowsRecorded: costs.rowsRecorded,
    flush: costs.flush,
    recovered: () => lostCalls.done(),
  });
  const counterNow = (budget: Budget) => {
    const timeZone = timeZoneOf(budget.tenantId);
    const hard = snapshot.find(budget.id);
    return timeZone === undefined ? null : (hard?.counterAt(timeZone, clock.now().getTime()) ?? null);
  };
  const lostCalls = createLostCalls({
    ...deps,
    underWay,
    snapshot,
    async tellCounters(tenantIds) {
      if (deps.liveWriters().length < 2) return;
      for (const tenantId of tenantIds) {
        for (const { budget } of snapshot.of(tenantId)?.all ?? []) {
          const named = counterNow(budget);
          if (named) await establishing.establish(tenantId, named.counter);
        }
      }
    },
  });
  const hardLimits = createHardLimits({
    snapshot,
    counters,
    establishing,
    underWay,
    timeZoneOf,
    patience: deps.patience ?? defaultPatience,
  });
  const service = createBudgetsService({
    ...deps,
    periods,
    flush: costs.flush,
    refresh: snapshot.refresh,
    async spentAndHeld(budget) {
      const named = counterNow(budget);
      if (named === null) return null;
      const nanoUsd = await establishing.spentAndHeld(budget.tenantId, named.counter, named.period.endMs);
      return nanoUsd === null ? null : BigInt(nanoUsd);
    },
  });

  const reloadQuietly = () => {
    snapshot.reload().catch(() => {});
  };
  deps.subscribe(
    'budgets_changed',
    (tenantId) => {
      snapshot.refresh(tenantId).catch(() => {});
    },
    reloadQuietly,
  );
  deps.onWanted?.(establishing.wanted);

  return {
    gate: hardLimits,
    outputSizes: createOutputSizes(),
    service,
    recorded: hardLimits.recorded,
    async start() {
      underWay.open();
      await snapshot.reload();
      await lostCalls.start(booksMs);
    },
    async stop() {
      await lostCalls.stop();
      underWay.close();
    },
  };
}
