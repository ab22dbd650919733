import type { Counters } from '../../limits/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { Costs, EndedCall } from '../costs.service.ts';
import { noUsage } from '../usage.ts';
import type { BudgetSnapshot } from './budget-snapshot.ts';
import type { BudgetsStore } from './budgets.store.ts';
import type { CallsUnderWay, NotedCall } from './calls-under-way.ts';

export interface LostCallsDependencies {
  readonly underWay: Pick<CallsUnderWay, 'left' | 'forget'>;
  readonly store: Pick<BudgetsStore, 'recorded'>;
  readonly costs: Pick<Costs, 'record' | 'flush'>;
  readonly counters: Pick<Counters, 'forgetDoubt'>;
  readonly snapshot: Pick<BudgetSnapshot, 'tenants'>;
  /** Makes the counters of these tenants' budgets say what the ledger says, where others count on them, too. */
  readonly tellCounters: (tenantIds: ReadonlySet<string>) => Promise<void>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Log;
}

export interface LostCalls {
  /** Resolves when it is done, or after `patienceMs`; it goes on until it is done, or stopped. */
  start(patienceMs: number): Promise<void>;
  /** True when calls of processes killed here are in the ledger. */
  done(): boolean;
  stop(): Promise<void>;
}

const atOnce = 500;
const retryMs = 1_000;

/**
 * Puts into the books what processes killed here were doing: each call that was noted and has no row of its own gets one,
 * as lost, for the tokens that were reserved for it. The rows count as this process's own spend; what the counters hold in
 * doubt for the dead process is then forgotten. Killed in the middle of this, the next start does it again: a call has one
 * row, whoever writes it.
 */
export function createLostCalls(deps: LostCallsDependencies): LostCalls {
  const { underWay, log } = deps;
  const stopping = new AbortController();
  let inBooks = false;
  let running: Promise<void> = Promise.resolve();

  const recover = async (): Promise<void> => {
    const left = underWay.left();
    if (left.length > 0) {
      // Rows that the dead process wrote come first, so that only calls without one are lost.
      await flushed();
      for (const notes of left) await recordLost(notes.calls);
      await flushed();
    }
    inBooks = true;
    for (const notes of left) {
      // First what the dead process spent, then what it held: between the two nothing looks unspent.
      const tenants = new Set(notes.calls.map(({ tenantId }) => tenantId));
      await deps.tellCounters(tenants);
      for (const tenantId of new Set([...deps.snapshot.tenants(), ...tenants])) {
        await deps.counters.forgetDoubt(tenantId, notes.writer);
      }
      underWay.forget(notes);
    }
  };

  const flushed = async (): Promise<void> => {
    while (!(await deps.costs.flush())) stopping.signal.throwIfAborted();
  };

  const recordLost = async (calls: readonly NotedCall[]): Promise<void> => {
    for (let i = 0; i < calls.length; i += atOnce) {
      const some = calls.slice(i, i + atOnce);
      const known = await deps.store.recorded(some.map(({ id }) => id));
      const lost = some.filter(({ id }) => !known.has(id));
      if (lost.length > 0)
        log.warn({ calls: lost.length }, 'calls were under way when the server was killed');
      for (const call of lost) deps.costs.record(lostCall(call), call);
    }
  };

  const untilDone = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        return await recover();
      } catch (error) {
        if (stopping.signal.aborted) return;
        log.warn({ err: error }, 'calls of a killed server are not in the ledger yet; trying again');
        await deps.clock.sleep(retryMs, stopping.signal).catch(() => {});
      }
    }
  };

  return {
    async start(patienceMs) {
      running = untilDone();
      const inTime = new AbortController();
      await Promise.race([running, deps.clock.sleep(patienceMs, inTime.signal).catch(() => {})]);
      inTime.abort();
    },
    done: () => inBooks,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** The row of a call whose end nobody saw. The provider may have charged all that was reserved for it. */
function lostCall(call: NotedCall): EndedCall {
  return {
    id: call.id,
    callId: call.id,
    attempt: 1,
    attempts: 1,
    final: true,
    at: call.at,
    tenantId: call.tenantId,
    correlationId: call.correlationId,
    keyId: call.keyId,
    userId: call.userId,
    promptId: call.promptId,
    tags: call.tags,
    operation: call.operation,
    dialect: call.dialect,
    route: call.route,
    provider: call.provider.name,
    model: call.model,
    responseModel: null,
    tier: call.tier,
    status: 'lost',
    errorCode: null,
    streamed: call.streamed,
    rawUsage: null,
    estimated: true,
    usage: { ...noUsage, inputTokens: call.inputTokens, outputTokens: call.outputTokens },
    savedNanoUsd: null,
    durationMs: 0,
    firstTokenMs: null,
  };
}
