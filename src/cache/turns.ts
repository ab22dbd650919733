import type { Clock } from '../platform/clock.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import type { Entry, EntryKind, EntryName, NewEntry } from './entry.ts';
import type { Flight, Flights, Landing } from './flights.ts';
import type { MemoryLevel } from './memory-level.ts';
import type { Look, SharedLevel } from './shared-level.ts';
import {
  idOf,
  knownTurn,
  type MakingDependencies,
  MakingTurn,
  type Marks,
  type Stored,
  type Turn,
} from './turn.ts';
import { startWaiting, type Waiting } from './waiting.ts';

export interface OpenOptions {
  /** False: what is known is not given, but made anew and kept in its place. */
  readonly read?: boolean;
  /** How long to wait for somebody who makes the same answer, milliseconds; absent: 30 s. Then it is made anew. */
  readonly waitMs?: number;
  /** Told of a listener for the caller's leaving, which ends the waiting; returns how to stop listening. */
  readonly onCancel?: ((listener: () => void) => () => void) | undefined;
}

export interface TurnsDependencies {
  readonly clock: Clock;
  readonly memory: MemoryLevel;
  readonly shared: SharedLevel | null;
  readonly metrics: CacheMetrics;
  readonly flights: Flights;
  readonly isDueEarly: (entry: Entry, nowMs: number) => boolean;
  readonly ttlMs: number;
  readonly staleMs: number;
}

const defaultWaitMs = 30_000;
/** Leaders that a caller sees fail before it goes on for itself. */
const maxRounds = 3;
/** How often it is looked whether another instance is done, should its message be lost: at first, and at most. */
const firstPollMs = 100;
const lastPollMs = 1_000;
/** How long this process serves its own copy of what Redis holds. Removals are heard at once; this is the net below. */
const copyMs = 60_000;

/** Looks up, waits and keeps: the rules of a turn, for one process and for several. */
export function createTurns(deps: TurnsDependencies) {
  const { clock, memory, shared, metrics, flights } = deps;
  const nowMs = () => clock.now().getTime();
  const isFresh = (entry: Entry | null): entry is Entry => entry !== null && entry.expiresAtMs > nowMs();

  /** What this process may serve by itself: while removals elsewhere are heard of, everything that it holds. */
  const near = ({ tenantId, key }: Pick<EntryName, 'tenantId' | 'key'>): Entry | null =>
    shared === null || shared.hearing ? memory.get(tenantId, key, nowMs()) : null;

  /**
   * Puts into memory what was made or fetched. Not what carries tags, where others can remove: a removal must hold when
   * it is acknowledged, so Redis is asked at each read.
   */
  const hold = (tenantId: string, entry: Entry, mark: number): 'kept' | 'removed' | 'too_large' => {
    if (shared === null) return memory.put(tenantId, entry, mark, entry.staleUntilMs);
    if (entry.tags.length > 0) return memory.isRemoved(tenantId, entry, mark) ? 'removed' : 'kept';
    return memory.put(tenantId, entry, mark, Math.min(entry.staleUntilMs, nowMs() + copyMs));
  };

  const storeHere = (name: EntryName, entry: Entry, marks: Marks): Stored => ({
    how: hold(name.tenantId, entry, marks.memory) === 'removed' ? 'removed' : 'kept',
    shared: false,
  });

  const store: MakingDependencies['store'] = (name, entry, marks) => {
    if (shared === null || marks.shared === null) return storeHere(name, entry, marks);
    return shared.write(name.tenantId, entry, marks.shared).then((written) => {
      if (written === 'away') return storeHere(name, entry, marks);
      // Redis knows for certain. What this process heard of meanwhile may be a removal from before the answer was begun.
      if (written === 'kept') hold(name.tenantId, entry, marks.memory);
      return { how: written, shared: true };
    });
  };

  const making: MakingDependencies = {
    nowMs,
    flights,
    metrics,
    store,
    ttlMs: deps.ttlMs,
    staleMs: deps.staleMs,
  };

  const hit = ({ tenantId }: EntryName, entry: Entry): Turn => {
    metrics.hit(tenantId, entry, nowMs());
    return knownTurn(entry);
  };

  /** The answer of somebody who made it while this caller waited. */
  const followed = (name: EntryName, entry: Entry): Turn => {
    metrics.stampedePrevented(name.tenantId, name.kind);
    return hit(name, entry);
  };

  const make = (
    name: EntryName,
    look: Look | null,
    memoryMark: number,
    flight: Flight | null,
    lead: ConstructorParameters<typeof MakingTurn>[1]['lead'] = null,
  ): Turn => {
    const before =
      look === null && shared === null ? memory.get(name.tenantId, name.key, nowMs()) : (look?.entry ?? null);
    if (before !== null && isFresh(before) && flight) metrics.earlyRefresh(name.kind);
    const marks = { memory: memoryMark, shared: look?.mark ?? null };
    return new MakingTurn(making, { name, marks, before, flight, lead, isMiss: true });
  };

  const begin = (name: EntryName): Flight => flights.begin(idOf(name), nowMs());
  const going = (name: EntryName): Flight | undefined => flights.of(idOf(name), nowMs());

  function open(name: EntryName, options: OpenOptions = {}): Turn | Promise<Turn> {
    if (options.read === false) return refresh(name);
    const entry = near(name);
    if (isFresh(entry) && !deps.isDueEarly(entry, nowMs())) return hit(name, entry);
    if (shared !== null) return openShared(name, shared, options);
    if (going(name) === undefined) return make(name, null, memory.mark(), begin(name));
    // It is being made anew before its time, by somebody else.
    if (isFresh(entry)) return hit(name, entry);
    return follow(name, options);
  }

  /** Nobody waits for a caller who wants it made anew, and it waits for nobody. */
  function refresh(name: EntryName): Turn | Promise<Turn> {
    const mark = memory.mark();
    if (shared === null) return make(name, null, mark, null);
    return shared.look(name.tenantId, name.key).then((look) => make(name, look, mark, null));
  }

  /** In this process alone: waits for the answer that is being made, and makes it when that failed. */
  async function follow(name: EntryName, options: OpenOptions): Promise<Turn> {
    const waiting = startWaiting(clock, options.waitMs ?? defaultWaitMs, options.onCancel);
    try {
      for (let round = 0; round < maxRounds && !waiting.over; round++) {
        const mark = memory.mark();
        const flight = going(name);
        if (flight === undefined) return make(name, null, mark, begin(name));
        const landing = await landingOf(flight, waiting);
        if (landing.how === 'kept') return followed(name, landing.entry);
        if (landing.how === 'not_shareable') break;
      }
      return make(name, null, memory.mark(), null);
    } finally {
      waiting.end();
    }
  }

  /**
   * Across instances. Redis is asked by each caller, also by one who waited: only there is it known for certain that
   * nothing that the answer depends on was removed before this caller asked.
   */
  async function openShared(name: EntryName, level: SharedLevel, options: OpenOptions): Promise<Turn> {
    const { tenantId, key } = name;
    let waiting: Waiting | null = null;
    let waited = false;
    try {
      for (let round = 0; ; round++) {
        const mark = memory.mark();
        const look = await level.look(tenantId, key);
        if (look === null)
          return going(name) ? await follow(name, options) : make(name, null, mark, begin(name));
        const { entry } = look;
        if (isFresh(entry) && (waited || !deps.isDueEarly(entry, nowMs()))) {
          hold(tenantId, entry, mark);
          return waited ? followed(name, entry) : hit(name, entry);
        }
        const flight = going(name);
        if (flight && isFresh(entry)) return hit(name, entry);
        if (round >= maxRounds || waiting?.over) return make(name, look, mark, null);
        waiting ??= startWaiting(clock, options.waitMs ?? defaultWaitMs, options.onCancel);
        if (flight === undefined) return await leadShared(name, level, look, mark, waiting);
        const landing = await landingOf(flight, waiting);
        if (landing.how === 'kept' && !landing.shared) return followed(name, landing.entry);
        if (landing.how === 'not_shareable') return make(name, look, mark, null);
        waited = landing.how === 'kept';
      }
    } finally {
      waiting?.end();
    }
  }

  /** Stands for all callers of this process: takes the lead among instances, or waits for the one that has it. */
  async function leadShared(
    name: EntryName,
    level: SharedLevel,
    first: Look,
    mark: number,
    waiting: Waiting,
  ): Promise<Turn> {
    const { tenantId, key } = name;
    const flight = begin(name);
    const give = (entry: Entry, turn: Turn): Turn => {
      flights.end(idOf(name), flight, { how: 'kept', entry, shared: true });
      return turn;
    };
    let look = first;
    for (let pollMs = firstPollMs; ; pollMs = Math.min(pollMs * 2, lastPollMs)) {
      const lead = await level.lead(tenantId, key, look.mark);
      if (lead === null) return make(name, look, mark, flight);
      if (lead !== 'taken') {
        // Another instance may have been done between the look and the lead.
        const again = await level.look(tenantId, key);
        if (again && isFresh(again.entry) && again.entry.storedAtMs !== look.entry?.storedAtMs) {
          lead.end();
          return give(again.entry, followed(name, again.entry));
        }
        return make(name, again ?? look, mark, flight, lead);
      }
      if (isFresh(look.entry)) return give(look.entry, hit(name, look.entry));
      if (waiting.over) {
        flights.end(idOf(name), flight, { how: 'failed' });
        return make(name, look, mark, null);
      }
      await Promise.race([level.news(tenantId, key, pollMs), waiting.left]);
      const again = await level.look(tenantId, key);
      if (again === null) return make(name, look, mark, flight);
      look = again;
      if (isFresh(look.entry)) return give(look.entry, followed(name, look.entry));
    }
  }

  return {
    open,

    async find(tenantId: string, kind: EntryKind, keys: readonly string[]): Promise<(Entry | null)[]> {
      const mark = memory.mark();
      const found = await Promise.all(
        keys.map((key) => near({ tenantId, key }) ?? shared?.look(tenantId, key) ?? null),
      );
      return found.map((given) => {
        const entry = given !== null && 'mark' in given ? given.entry : given;
        if (!isFresh(entry)) {
          metrics.miss(tenantId, kind);
          return null;
        }
        if (entry !== given) hold(tenantId, entry, mark);
        metrics.hit(tenantId, entry, nowMs());
        return entry;
      });
    },

    async peek(tenantId: string, key: string): Promise<Entry | null> {
      const entry = near({ tenantId, key }) ?? (await shared?.look(tenantId, key))?.entry ?? null;
      return isFresh(entry) ? entry : null;
    },

    async put(name: EntryName, value: NewEntry): Promise<boolean> {
      const mark = memory.mark();
      const look = (await shared?.look(name.tenantId, name.key)) ?? null;
      const marks = { memory: mark, shared: look?.mark ?? null };
      return new MakingTurn(making, {
        name,
        marks,
        before: null,
        flight: null,
        lead: null,
        isMiss: false,
      }).keep(value);
    },
  };
}

function landingOf(flight: Flight, waiting: Waiting): Promise<Landing> {
  return Promise.race([flight.landed, waiting.left.then((): Landing => ({ how: 'failed' }))]);
}
