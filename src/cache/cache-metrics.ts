import { usdFromNano } from '../costs/index.ts';
import { createBoundedCache } from '../platform/bounded-cache.ts';
import { createCounter } from '../platform/counter.ts';
import { createGauge } from '../platform/gauge.ts';
import { createHistogram } from '../platform/histogram.ts';
import type { Metrics } from '../platform/metrics.ts';
import { type Entry, type EntryKind, entryKinds } from './entry.ts';

/** What one tenant's cache did in this process since it started. */
export interface TenantCounts {
  hits: number;
  misses: number;
  /** Answers past their time that stood in for calls that failed. */
  stale: number;
  /** Calls that got the answer of a call like theirs that was going on. */
  stampedesPrevented: number;
  savedNanoUsd: bigint;
}

export type CacheMetrics = ReturnType<typeof createCacheMetrics>;

/** Seconds, up to the longest that an entry can be old: 24 h and 24 h past its time. */
const ageBuckets = [1, 10, 60, 300, 900, 1_800, 3_600, 7_200, 21_600, 86_400, 172_800];
/** Tenants that are counted one by one; of those beyond, the ones that came first start again at nought. */
const maxTenants = 10_000;

/** Counts what the cache does, for `/metrics` and, by tenant, for the API. */
export function createCacheMetrics(
  registry: Metrics,
  held: () => { readonly entries: number; readonly bytes: number; readonly evictions: number },
) {
  const lookups = createCounter(registry, {
    name: 'gatehouse_cache_lookups_total',
    help: 'Looks into the answer cache by what they found: hit, miss, or stale (past its time, in place of a failed call)',
  });
  const ages = createHistogram(registry, {
    name: 'gatehouse_cache_hit_age_seconds',
    help: 'Age of answers that were given from the cache',
    buckets: ageBuckets,
  });
  const prevented = createCounter(registry, {
    name: 'gatehouse_cache_stampedes_prevented_total',
    help: 'Calls that got the answer of an equal call that was going on',
  });
  const early = createCounter(registry, {
    name: 'gatehouse_cache_early_refreshes_total',
    help: 'Answers that were made anew before they expired',
  });
  const failures = createCounter(registry, {
    name: 'gatehouse_cache_redis_failures_total',
    help: 'Times that the cache did without Redis, because it was away or did not answer in time',
  }).series({});
  let savedNanoUsd = 0n;
  const gauge = (name: string, help: string, value: () => number) => createGauge(registry, name, help, value);
  gauge('gatehouse_cache_bytes', 'Memory that cached answers take in this process', () => held().bytes);
  gauge('gatehouse_cache_entries', 'Cached answers in this process', () => held().entries);
  gauge('gatehouse_cache_evictions', 'Cached answers that had to make room', () => held().evictions);
  gauge('gatehouse_cache_saved_usd', 'What calls would have cost that the cache answered, US dollars', () =>
    Number(usdFromNano(savedNanoUsd)),
  );

  const byKind = <T>(make: (labels: { kind: string }) => T) =>
    Object.fromEntries(entryKinds.map((kind) => [kind, make({ kind })])) as Record<EntryKind, T>;
  const of = byKind(({ kind }) => ({
    hit: lookups.series({ kind, result: 'hit' }),
    miss: lookups.series({ kind, result: 'miss' }),
    stale: lookups.series({ kind, result: 'stale' }),
    hitAge: ages.series({ kind, result: 'hit' }),
    staleAge: ages.series({ kind, result: 'stale' }),
    prevented: prevented.series({ kind }),
    early: early.series({ kind }),
  }));

  const tenants = createBoundedCache<string, TenantCounts>(maxTenants);
  const countsOf = (tenantId: string): TenantCounts => {
    const known = tenants.get(tenantId);
    if (known) return known;
    const fresh = { hits: 0, misses: 0, stale: 0, stampedesPrevented: 0, savedNanoUsd: 0n };
    tenants.set(tenantId, fresh);
    return fresh;
  };

  return {
    hit(tenantId: string, entry: Entry, nowMs: number): void {
      const counts = countsOf(tenantId);
      counts.hits++;
      of[entry.kind].hit.inc();
      of[entry.kind].hitAge.observe(Math.max(0, nowMs - entry.storedAtMs) / 1_000);
      if (entry.costNanoUsd === null) return;
      counts.savedNanoUsd += entry.costNanoUsd;
      savedNanoUsd += entry.costNanoUsd;
    },
    miss(tenantId: string, kind: EntryKind): void {
      countsOf(tenantId).misses++;
      of[kind].miss.inc();
    },
    stale(tenantId: string, entry: Entry, nowMs: number): void {
      countsOf(tenantId).stale++;
      of[entry.kind].stale.inc();
      of[entry.kind].staleAge.observe(Math.max(0, nowMs - entry.storedAtMs) / 1_000);
    },
    stampedePrevented(tenantId: string, kind: EntryKind): void {
      countsOf(tenantId).stampedesPrevented++;
      of[kind].prevented.inc();
    },
    earlyRefresh: (kind: EntryKind): void => of[kind].early.inc(),
    redisFailure: (): void => failures.inc(),
    countsOf,
  };
}
