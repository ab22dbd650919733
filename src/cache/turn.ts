import type { CacheMetrics } from './cache-metrics.ts';
import {
  type Entry,
  type EntryName,
  maxEntryBytes,
  maxTagLength,
  maxTags,
  maxTtlMs,
  type NewEntry,
} from './entry.ts';
import type { Flight, Flights, Landing } from './flights.ts';
import type { Lead, SharedMark } from './shared-level.ts';

/** One caller's dealings with one entry. */
export interface Turn {
  /** The answer; null: this caller makes it, and others may be waiting for it. */
  readonly known: Entry | null;
  /** When making it failed: the answer before, past its time or nearly so, if there is one. Counts as served. */
  stale(): Entry | null;
  /**
   * Keeps the answer and gives it to whoever waits for it.
   * @returns whether it is kept: not when it is too large, or what it depends on was removed while it was made. Never rejects.
   */
  keep(answer: NewEntry): Promise<boolean>;
  /** Gives an answer that was found under another key, to whoever waits, too. */
  give(found: Entry): void;
  /** Ends the turn without an answer, so that somebody else may try. A second ending is ignored. */
  release(): void;
  /** There is an answer and it cannot be shared: those who wait go on for themselves, all at once. */
  releaseAll(): void;
}

export function knownTurn(known: Entry): Turn {
  return { known, stale: () => null, keep: async () => false, give() {}, release() {}, releaseAll() {} };
}

export interface MakingDependencies {
  readonly nowMs: () => number;
  readonly flights: Flights;
  readonly metrics: CacheMetrics;
  readonly ttlMs: number;
  readonly staleMs: number;
  /** Keeps an entry, here and where others can read it. */
  readonly store: (name: EntryName, entry: Entry, marks: Marks) => Stored | Promise<Stored>;
}

export interface Stored {
  readonly how: 'kept' | 'removed';
  readonly shared: boolean;
}

/** Moments from before the answer was begun: what was removed since then must not come back with it. */
export interface Marks {
  readonly memory: number;
  readonly shared: SharedMark | null;
}

export interface Making {
  readonly name: EntryName;
  readonly marks: Marks;
  readonly before: Entry | null;
  /** Null: nobody waits for this one. */
  readonly flight: Flight | null;
  readonly lead: Lead | null;
  /** Whether the caller looked for an answer and found none. */
  readonly isMiss: boolean;
}

/** The turn of a caller who makes the answer. */
export class MakingTurn implements Turn {
  readonly known = null;
  readonly #deps: MakingDependencies;
  readonly #making: Making;
  readonly #startedMs: number;
  #ended = false;

  constructor(deps: MakingDependencies, making: Making) {
    this.#deps = deps;
    this.#making = making;
    this.#startedMs = deps.nowMs();
  }

  stale(): Entry | null {
    const { before, name } = this.#making;
    const nowMs = this.#deps.nowMs();
    if (before === null || nowMs >= before.staleUntilMs) return null;
    this.#deps.metrics.stale(name.tenantId, before, nowMs);
    return before;
  }

  async keep(answer: NewEntry): Promise<boolean> {
    if (this.#ended) return false;
    this.#endAsMiss();
    if (!canBeKept(answer)) {
      this.#end({ how: 'not_shareable' });
      return false;
    }
    const entry = this.#entryOf(answer);
    const stored = this.#deps.store(this.#making.name, entry, this.#making.marks);
    // Not awaited in one process, so that who asks next finds it.
    const { how, shared } = stored instanceof Promise ? await stored : stored;
    this.#end(how === 'kept' ? { how, entry, shared } : { how: 'failed' });
    return how === 'kept';
  }

  give(found: Entry): void {
    if (this.#ended) return;
    this.#ended = true;
    const { name } = this.#making;
    this.#deps.metrics.hit(name.tenantId, found, this.#deps.nowMs());
    this.#end({ how: 'kept', entry: found, shared: false });
  }

  release(): void {
    this.#endWithout('failed');
  }

  releaseAll(): void {
    this.#endWithout('not_shareable');
  }

  #endWithout(how: 'failed' | 'not_shareable'): void {
    if (this.#ended) return;
    this.#endAsMiss();
    this.#end({ how });
  }

  #endAsMiss(): void {
    this.#ended = true;
    const { name, isMiss } = this.#making;
    if (isMiss) this.#deps.metrics.miss(name.tenantId, name.kind);
  }

  #end(landing: Landing): void {
    const { name, flight, lead } = this.#making;
    if (flight) this.#deps.flights.end(idOf(name), flight, landing);
    lead?.end();
  }

  #entryOf(answer: NewEntry): Entry {
    const { name } = this.#making;
    const storedAtMs = this.#deps.nowMs();
    const ttlMs = Math.min(Math.max(answer.ttlMs ?? this.#deps.ttlMs, 0), maxTtlMs);
    // Not out of the pool that small buffers share, of which a kept slice would hold the whole.
    const body = Buffer.allocUnsafeSlow(answer.body.length);
    answer.body.copy(body);
    return {
      kind: name.kind,
      key: name.key,
      body,
      facts: answer.facts ?? '',
      tags: [...new Set(answer.tags)],
      costNanoUsd: answer.costNanoUsd ?? null,
      storedAtMs,
      expiresAtMs: storedAtMs + ttlMs,
      staleUntilMs: storedAtMs + ttlMs + this.#deps.staleMs,
      computeMs: Math.max(0, storedAtMs - this.#startedMs),
    };
  }
}

/** An id of an entry among those of all tenants; neither part holds a blank. */
export function idOf({ tenantId, key }: Pick<EntryName, 'tenantId' | 'key'>): string {
  return `${tenantId} ${key}`;
}

function canBeKept({ body, facts = '', tags = [] }: NewEntry): boolean {
  if (body.length > maxEntryBytes || facts.length > maxEntryBytes || tags.length > maxTags) return false;
  return tags.every((tag) => tag.length <= maxTagLength && !/\s/.test(tag));
}
