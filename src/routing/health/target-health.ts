import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { Random } from '../../platform/random.ts';
import type { Provider, ProviderKey, Target } from '../resolution.ts';
import type { Breaker } from './breaker.ts';
import { createHealthMetrics } from './health-metrics.ts';
import { createHealthNews, type HealthShare } from './health-news.ts';
import {
  createProviderRecords,
  defaultHealthRules,
  type HealthRules,
  type ProviderRecord,
} from './provider-records.ts';
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
   * @param refused keys that this call has been refused with.
   * @returns the visit, which must be ended; or why there is none.
   */
  enter(target: Target, refused: readonly ProviderKey[]): Visit | Refusal;
  /** Whether an attempt could begin now; nothing changes. */
  admits(target: Target): boolean;
  /** Milliseconds until its breaker, or that of one of its keys, lets an attempt begin; 0: now. */
  waitMs(target: Target): number;
  /** Attempts going on there. */
  inFlight(target: Target): number;
  /**
   * 0: nothing speaks against it. 1: it has failed lately, or a probe is due: any other target is the better choice while
   * there is no room for retries. 2: of its last 25 attempts 5 or more failed, the last one within the time that a breaker
   * stays open: retries can carry no more than a fifth, so it comes after all others.
   */
  doubt(target: Target): 0 | 1 | 2;
  /** Running mean of the time to a stream's first token, else to a whole reply, milliseconds; null while none is known. */
  latencyMs(target: Target): number | null;
  status(target: Target): TargetStatus;
  /** Of a provider's models, those that were used. */
  statusOf(provider: Provider): TargetStatus[];
}

export function createTargetHealth(deps: TargetHealthDependencies): TargetHealth {
  const { clock, random, log } = deps;
  const rules = { ...defaultHealthRules, ...deps.rules };
  const news = createHealthNews(deps);
  const changed = (record: TargetRecord, breaker: Breaker): void => {
    const to = breaker.stateAt(clock.monotonicMs());
    countChange(record, to);
    const { provider, model } = record;
    const words = { provider: provider.name, model, state: to, after: record.lastReason };
    if (to === 'closed') log.info(words, 'calls go to this target again');
    else if (to === 'open') log.warn(words, 'no calls go to this target for a while');
    news.tell(record, breaker);
  };
  const providers = createProviderRecords(rules, (provider, model) => {
    const record = new TargetRecord(provider, model, rules, changed);
    news.catchUp(record);
    return record;
  });
  const statuses = (of: readonly ProviderRecord[]): TargetStatus[] => {
    const nowMs = clock.monotonicMs();
    const now = clock.now();
    return of.flatMap((provider) => provider.targets().map((target) => target.status(nowMs, now)));
  };
  const countChange = createHealthMetrics(deps.metrics, () => statuses(providers.all()));
  news.listen(providers);

  // A route's targets are the same objects call after call, so that no name has to be looked up.
  const known = new WeakMap<Target, { readonly provider: ProviderRecord; readonly target: TargetRecord }>();
  const recordsOf = (target: Target) => {
    const found = known.get(target);
    if (found) return found;
    const provider = providers.of(target.provider);
    const records = { provider, target: provider.target(target.model) };
    known.set(target, records);
    return records;
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
    waitMs(target) {
      const nowMs = clock.monotonicMs();
      return Math.max(0, (recordsOf(target).target.openUntil(nowMs) ?? nowMs) - nowMs);
    },
    inFlight: (target) => recordsOf(target).target.inFlight,
    doubt: (target) => recordsOf(target).target.doubt(clock.monotonicMs()),
    latencyMs: (target) => recordsOf(target).target.latencyMs(),
    status: (target) => recordsOf(target).target.status(clock.monotonicMs(), clock.now()),
    statusOf: (provider) => statuses([providers.of(provider)]),
  };
}
