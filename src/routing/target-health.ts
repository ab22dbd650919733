import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import { createHealthMetrics } from './health-metrics.ts';
import { createHealthNews, type HealthShare } from './health-news.ts';
import { createProviderRecords, type HealthRules, type ProviderRecord } from './health-records.ts';
import type { Provider, ProviderKey, Target } from './resolution.ts';
import { TargetRecord, type TargetStatus } from './target-record.ts';
import { type Refusal, Visit } from './visit.ts';

export interface TargetHealthDependencies {
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>;
  readonly random: Pick<Random, 'fraction'>;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly rules?: Partial<HealthRules>;
  /** Tells other instances of what opens and closes here, and this one of what does there. */
  readonly share?: HealthShare;
}

/** What every call learns of the targets it tries, and what the next ones need to choose: one for each instance. */
export interface TargetHealth {
  /**
   * Lets one attempt at a target begin: its breaker is closed or this is the probe, its provider has room, and one of
   * its keys may be used.
   * @param refused keys of the provider that this call has been refused with.
   * @returns the visit, which must be ended; or why there is none.
   */
  enter(target: Target, refused: readonly ProviderKey[]): Visit | Refusal;
  /** Whether an attempt could begin now; nothing changes. */
  admits(target: Target): boolean;
  /**
   * 0: nothing speaks against it. 1: it has failed lately, or a probe is due: any other target is the better choice when
   * there is no room for retries. 2: of its last 25 attempts 5 or more have failed, the last one within the time that a
   * breaker stays open: what is left of the retries would go into it, so it comes after all others.
   */
  doubt(target: Target): 0 | 1 | 2;
  /** Mean time to the first token of a stream, else of a whole reply, milliseconds; null while none is known. */
  latencyMs(target: Target): number | null;
  status(target: Target): TargetStatus;
  /** What is known of a provider's models, those used last at the end. Empty while none was used. */
  statusOf(provider: Provider): TargetStatus[];
}

export function createTargetHealth(deps: TargetHealthDependencies): TargetHealth {
  const { clock, random } = deps;
  const metrics = createHealthMetrics(deps.metrics, () => statuses());
  const news = createHealthNews(deps, (record) => metrics.changed(record));
  const providers = createProviderRecords(deps.rules ?? {}, news);
  news.listen(providers);
  // A route's targets are the same objects call after call, so that not even a key has to be put together.
  const known = new WeakMap<Target, { provider: ProviderRecord; target: TargetRecord }>();

  const recordsOf = (target: Target) => {
    const found = known.get(target);
    if (found && providers.isCurrent(found.provider, target.provider)) return found;
    const provider = providers.of(target.provider);
    const records = { provider, target: provider.target(target.model) };
    known.set(target, records);
    return records;
  };
  const statuses = () => {
    const nowMs = clock.monotonicMs();
    const now = clock.now();
    return providers.all().flatMap((provider) => provider.targets().map((target) => target.status(nowMs, now)));
  };

  return {
    enter(target, refused) {
      const { provider, target: record } = recordsOf(target);
      return Visit.begin(provider, record, refused, clock, random);
    },
    admits(target) {
      const { provider, target: record } = recordsOf(target);
      return provider.hasRoom() && record.openUntil(clock.monotonicMs()) === null;
    },
    doubt: (target) => recordsOf(target).target.doubt(clock.monotonicMs()),
    latencyMs: (target) => recordsOf(target).target.latencyMs(),
    status: (target) => recordsOf(target).target.status(clock.monotonicMs(), clock.now()),
    statusOf: (provider) =>
      providers
        .of(provider)
        .targets()
        .map((target) => target.status(clock.monotonicMs(), clock.now())),
  };
}
