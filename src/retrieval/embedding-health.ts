import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import type { EmbeddingModel, EmbeddingModelFor, EmbeddingUse } from './model-calls.ts';
import { within } from './patience.ts';

export interface EmbeddingHealthDependencies {
  /** The platform acting in a tenant; undefined when there is no such tenant any more. */
  readonly principalOf: (tenantId: string) => Principal | undefined;
  readonly embeddingModelFor: EmbeddingModelFor;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
}

export type EmbeddingHealth = ReturnType<typeof createEmbeddingHealth>;

/** After a failure of the embedding model it is left alone: this long, doubling to the longest. */
const firstPauseMs = 2_000;
const longestPauseMs = 600_000;

/** Calls the embedding model for the indexing of tenants, within a time, and not while it keeps failing. */
export function createEmbeddingHealth({
  principalOf,
  embeddingModelFor,
  clock,
  newId,
  log,
}: EmbeddingHealthDependencies) {
  const failing = new Map<string, { failures: number; pausedUntilMs: number }>();
  const stopping = new AbortController();

  const isPaused = (tenantId: string): boolean =>
    clock.monotonicMs() < (failing.get(tenantId)?.pausedUntilMs ?? 0);

  /** The model that the tenant's routes name now; null when there is none. */
  const wantedModel = (tenantId: string): EmbeddingModel | null => {
    const principal = principalOf(tenantId);
    return principal ? embeddingModelFor(principal) : null;
  };

  return {
    isPaused,

    wantedModel,

    /** Runs `work` with the model, whose calls end after `ms`; with null when there is none or it is left alone. */
    withModel<T>(tenantId: string, ms: number, work: (use: EmbeddingUse | null) => Promise<T>): Promise<T> {
      const principal = principalOf(tenantId);
      const model = wantedModel(tenantId);
      if (!principal || !model || isPaused(tenantId)) return work(null);
      return within(clock, ms, [stopping.signal], (signal) =>
        work({ ...model, caller: { principal, correlationId: newId(), signal } }),
      );
    },

    failed(tenantId: string, error: unknown): void {
      if (stopping.signal.aborted) return;
      const failures = (failing.get(tenantId)?.failures ?? 0) + 1;
      const pauseMs = Math.min(firstPauseMs * 2 ** (failures - 1), longestPauseMs);
      failing.set(tenantId, { failures, pausedUntilMs: clock.monotonicMs() + pauseMs });
      log.warn(
        { err: error, tenant: tenantId, pause_ms: pauseMs },
        'passages got no vectors; they are found by words',
      );
    },

    worked(tenantId: string): void {
      failing.delete(tenantId);
    },

    stop(): void {
      stopping.abort(new Error('stopping'));
    },
  };
}
