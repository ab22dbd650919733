import { createBoundedCache } from '../../platform/bounded-cache.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Breaker } from './breaker.ts';
import type { ProviderRecords } from './provider-records.ts';
import type { TargetRecord } from './target-record.ts';

/** What one instance tells the others: a target, or one of its keys, opened or closed. */
export interface BreakerNews {
  readonly providerId: string;
  readonly model: string;
  /** Which of the provider's keys, counted from 0; null for the target itself. */
  readonly key: number | null;
  /** Until when nobody should go there, milliseconds since 1970; null: it is well again. */
  readonly openUntilMs: number | null;
  /** The provider said for how long. */
  readonly named: boolean;
}

/**
 * Carries news between instances. Losing some does no harm: an instance that did not hear finds out by itself, after as
 * many failures as it takes.
 */
export interface HealthShare {
  /** Must not throw, and is not waited for. */
  publish(news: BreakerNews): void;
  /** @param heard is told of other instances' news, in no particular order. */
  subscribe(heard: (news: BreakerNews) => void): void;
}

/** News of targets that were not used here yet are kept for when they are: this many. */
const maxUnknown = 1_000;
/** Nobody is believed for longer: a clock may be wrong. */
const maxBelievedMs = 24 * 3_600_000;

export interface HealthNews {
  /** Tells the others of a change here. */
  tell(record: TargetRecord, breaker: Breaker): void;
  /** Takes over what was heard of a target before it was used here. */
  catchUp(record: TargetRecord): void;
  /** Takes over what is heard from now on. */
  listen(providers: Pick<ProviderRecords, 'withId'>): void;
}

export function createHealthNews(deps: {
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>;
  readonly share?: HealthShare;
}): HealthNews {
  const { clock, share } = deps;
  const unknown = createBoundedCache<string, readonly BreakerNews[]>(maxUnknown);
  const nameOf = ({ providerId, model }: Pick<BreakerNews, 'providerId' | 'model'>) =>
    `${providerId} ${model}`;
  /** What was heard is not told on. */
  let hearing = false;

  const apply = (record: TargetRecord, news: BreakerNews): void => {
    const breaker = news.key === null ? record.breaker : record.keys[news.key]?.breaker;
    if (!breaker) return;
    hearing = true;
    try {
      const nowMs = clock.monotonicMs();
      if (news.openUntilMs === null) {
        breaker.close(nowMs);
      } else {
        const leftMs = Math.min(news.openUntilMs - clock.now().getTime(), maxBelievedMs);
        if (leftMs > 0) breaker.openFor(leftMs, nowMs, news.named);
        const key = news.key === null ? undefined : record.keys[news.key];
        if (key) key.limited = news.named;
      }
    } finally {
      hearing = false;
    }
  };

  return {
    tell(record, breaker) {
      const nowMs = clock.monotonicMs();
      const state = breaker.stateAt(nowMs);
      // A probe is each instance's own affair.
      if (!share || hearing || state === 'half_open') return;
      const { openUntilMs } = breaker;
      const key = record.keys.findIndex((candidate) => candidate.breaker === breaker);
      share.publish({
        providerId: record.provider.id,
        model: record.model,
        key: key < 0 ? null : key,
        openUntilMs: openUntilMs === null ? null : clock.now().getTime() + (openUntilMs - nowMs),
        named: breaker.named,
      });
    },
    catchUp(record) {
      const { provider, model } = record;
      for (const news of unknown.get(nameOf({ providerId: provider.id, model })) ?? []) apply(record, news);
    },
    listen(providers) {
      share?.subscribe((news) => {
        const record = providers.withId(news.providerId)?.knownTarget(news.model);
        if (record) {
          apply(record, news);
          return;
        }
        const before = unknown.get(nameOf(news)) ?? [];
        unknown.set(nameOf(news), [...before.filter(({ key }) => key !== news.key), news]);
      });
    },
  };
}
