import type { Clock } from '../platform/clock.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import { createCacheMetrics, type TenantCounts } from './cache-metrics.ts';
import { isDueEarly } from './early-expiration.ts';
import { type Entry, type EntryKind, type EntryName, maxTtlMs, type NewEntry } from './entry.ts';
import { createFlights } from './flights.ts';
import { createMemoryLevel, type Forgetful, forget } from './memory-level.ts';
import type { Removal, Removed, SharedLevel } from './shared-level.ts';
import type { Turn } from './turn.ts';
import { createTurns, type OpenOptions } from './turns.ts';

export interface AnswerStoreDependencies {
  readonly clock: Clock;
  readonly random: Pick<Random, 'fraction'>;
  readonly metrics: Metrics;
  /** Memory for entries in this process, bytes; absent: 64 MiB. */
  readonly maxBytes?: number;
  /** Absent: an hour. */
  readonly ttlMs?: number;
  /** How long past its time an entry may stand in when making it anew fails; absent: 24 h. */
  readonly staleMs?: number;
  /** What all instances share; absent: this process is the only one. */
  readonly shared?: ((memory: Forgetful, metrics: { redisFailure(): void }) => SharedLevel) | undefined;
}

export interface Usage extends Readonly<TenantCounts> {
  readonly entries: number;
  readonly bytes: number;
  /** Whether entries and bytes are those of all instances. */
  readonly shared: boolean;
}

export interface AnswerStore {
  /** Takes a turn: waits while an equal answer is being made, here or by another instance. Synchronous where nothing waits. */
  open(name: EntryName, options?: OpenOptions): Turn | Promise<Turn>;
  /** Looks up many values at once, without turns. Those past their time are not given. */
  find(tenantId: string, kind: EntryKind, keys: readonly string[]): Promise<(Entry | null)[]>;
  /** Keeps a value without a turn. Never rejects. */
  put(name: EntryName, value: NewEntry): Promise<boolean>;
  /** One entry that is good, without a turn and without counting. */
  peek(tenantId: string, key: string): Promise<Entry | null>;
  removeEntry(tenantId: string, key: string): Promise<Removed>;
  /** Removes whatever depends on one of these. */
  removeTagged(tenantId: string, tags: readonly string[]): Promise<Removed>;
  removeTenant(tenantId: string): Promise<Removed>;
  usage(tenantId: string): Promise<Usage>;
  /** Told when all of a tenant's entries are removed, here or by another instance. */
  onTenantRemoved(listener: (tenantId: string) => void): void;
  start(): void;
  stop(): Promise<void>;
}

const defaultMaxBytes = 64 * 1024 * 1024;
const defaultTtlMs = 60 * 60 * 1_000;

/**
 * Keeps answers in this process and, with a shared level, across instances. Bounded by bytes, with the ones used last kept.
 * Every failure of the shared level is a miss: nothing here rejects because of it.
 */
export function createAnswerStore(deps: AnswerStoreDependencies): AnswerStore {
  const { clock } = deps;
  const memory = createMemoryLevel(deps.maxBytes ?? defaultMaxBytes);
  const metrics = createCacheMetrics(deps.metrics, () => ({
    ...memory.usage(),
    evictions: memory.evictions,
  }));
  const tenantListeners: ((tenantId: string) => void)[] = [];
  /** Memory, and whoever wants to know of a tenant's removal. */
  const forgetful: Forgetful = {
    ...memory,
    removeTenant(tenantId) {
      for (const listener of tenantListeners) listener(tenantId);
      return memory.removeTenant(tenantId);
    },
  };
  const shared = deps.shared?.(forgetful, metrics) ?? null;
  const turns = createTurns({
    clock,
    memory,
    shared,
    metrics,
    flights: createFlights(maxFlightMs),
    isDueEarly: (entry, nowMs) => isDueEarly(entry, nowMs, deps.random.fraction()),
    ttlMs: Math.min(deps.ttlMs ?? defaultTtlMs, maxTtlMs),
    staleMs: Math.min(deps.staleMs ?? maxTtlMs, maxTtlMs),
  });

  const remove = async (removal: Removal): Promise<Removed> => {
    const entries = forget(forgetful, removal);
    if (shared === null) return { entries, everywhere: true };
    const removed = await shared.remove(removal);
    return { entries: Math.max(entries, removed.entries), everywhere: removed.everywhere };
  };

  return {
    open: turns.open,
    find: turns.find,
    put: turns.put,
    peek: turns.peek,
    removeEntry: (tenantId, key) => remove({ what: 'key', tenantId, name: key }),
    async removeTagged(tenantId, tags) {
      const removed = await Promise.all(tags.map((name) => remove({ what: 'tag', tenantId, name })));
      return {
        entries: removed.reduce((sum, { entries }) => sum + entries, 0),
        everywhere: removed.every(({ everywhere }) => everywhere),
      };
    },
    removeTenant: (tenantId) => remove({ what: 'tenant', tenantId }),
    async usage(tenantId) {
      const everywhere = (await shared?.usage(tenantId)) ?? null;
      return {
        ...metrics.countsOf(tenantId),
        ...(everywhere ?? memory.usage(tenantId)),
        shared: everywhere !== null,
      };
    },
    onTenantRemoved: (listener) => void tenantListeners.push(listener),
    start: () => shared?.start(),
    stop: async () => shared?.stop(),
  };
}

/** Longer than any call may take. */
const maxFlightMs = 15 * 60 * 1_000;
