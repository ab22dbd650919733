import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';

/** One dependency, and how to ask whether it works. */
export interface HealthCheck {
  readonly name: string;
  /** Whether the server can serve nothing useful without it; readiness fails with it. */
  readonly essential: boolean;
  /** Resolves with what is worth showing, rejects when the dependency does not work. */
  readonly probe: () => Promise<{ version?: string; detail?: string }>;
}

export interface CheckState {
  readonly name: string;
  readonly essential: boolean;
  readonly status: 'ok' | 'failing';
  readonly latencyMs: number;
  readonly version: string | null;
  readonly detail: string | null;
  readonly checkedAt: Date;
  readonly lastError: { readonly at: Date; readonly message: string } | null;
}

export interface Availability {
  readonly checkName: string;
  readonly window: '24h' | '7d' | '30d';
  readonly samples: number;
  readonly failures: number;
  readonly latencyMsMax: number;
}

export interface HealthHistory {
  record(states: readonly CheckState[], at: Date): Promise<void>;
  availability(at: Date): Promise<readonly Availability[]>;
}

export type Health = ReturnType<typeof createHealth>;

/** A probe that has not answered by then has failed. */
const probeTimeoutMs = 2_000;
/** Readiness is asked by every load balancer every second; it may be this old. */
const readyMaxAgeMs = 1_000;
const sampleIntervalMs = 60_000;

export function createHealth(deps: {
  checks: readonly HealthCheck[];
  history: HealthHistory;
  clock: Clock;
  log: Log;
}) {
  const { clock, log } = deps;
  const lastErrors = new Map<string, { at: Date; message: string }>();
  let recent: { atMs: number; states: Promise<CheckState[]> } | null = null;
  let draining = false;
  const stopping = new AbortController();
  let sampler: Promise<void> = Promise.resolve();

  const run = async (check: HealthCheck): Promise<CheckState> => {
    const before = clock.monotonicMs();
    const timeout = new AbortController();
    const late = clock.sleep(probeTimeoutMs, timeout.signal).then(() => {
      throw new Error(`no answer within ${probeTimeoutMs} ms`);
    });
    let failure: string | null = null;
    let seen: { version?: string; detail?: string } = {};
    try {
      seen = await Promise.race([check.probe(), late]);
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
      lastErrors.set(check.name, { at: clock.now(), message: failure });
      log.warn({ err: error, check: check.name }, 'a health check failed');
    } finally {
      timeout.abort();
      late.catch(() => {});
    }
    return {
      name: check.name,
      essential: check.essential,
      status: failure === null ? 'ok' : 'failing',
      latencyMs: Math.round((clock.monotonicMs() - before) * 100) / 100,
      version: seen.version ?? null,
      detail: seen.detail ?? null,
      checkedAt: clock.now(),
      lastError: lastErrors.get(check.name) ?? null,
    };
  };

  /** Concurrent questions within a second share one round of probes. */
  const states = (): Promise<CheckState[]> => {
    const now = clock.monotonicMs();
    if (!recent || now - recent.atMs > readyMaxAgeMs) {
      recent = { atMs: now, states: Promise.all(deps.checks.map(run)) };
    }
    return recent.states;
  };

  return {
    states,
    availability: () => deps.history.availability(clock.now()),
    /** From here on readiness is 503, so that load balancers look elsewhere while requests in flight finish. */
    drain(): void {
      draining = true;
    },
    /** @returns the names of what keeps this server from being ready; empty when it is. */
    async failing(): Promise<string[]> {
      if (draining) return ['draining'];
      const all = await states();
      return all.filter((state) => state.essential && state.status === 'failing').map((state) => state.name);
    },
    start(): void {
      sampler = (async () => {
        while (!stopping.signal.aborted) {
          const sample = await states();
          await deps.history
            .record(sample, clock.now())
            .catch((error) => log.warn({ err: error }, 'health history was not recorded'));
          await clock.sleep(sampleIntervalMs, stopping.signal).catch(() => {});
        }
      })();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await sampler;
    },
  };
}
