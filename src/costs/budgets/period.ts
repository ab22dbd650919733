import { Temporal } from 'temporal-polyfill';

/** What a budget is for. A week begins on Monday. */
export const periodKinds = ['day', 'week', 'month'] as const;
export type PeriodKind = (typeof periodKinds)[number];

/** From `startMs` up to and without `endMs`, milliseconds since the epoch. Never changed, and the same object as long as it is current. */
export interface Period {
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * The day, week or month around an instant as clocks in that zone show it: 23 or 25 hours where clocks change, from the
 * first instant of the first day (which is not midnight where midnight is skipped, and the first of the two where it comes
 * twice) to that of the day after the last.
 * @param timeZone an IANA name. @throws RangeError when it is none.
 */
export function periodAround(timeZone: string, kind: PeriodKind, atMs: number): Period {
  const day = Temporal.Instant.fromEpochMilliseconds(Math.floor(atMs))
    .toZonedDateTimeISO(timeZone)
    .toPlainDate();
  const first =
    kind === 'day' ? day : kind === 'week' ? day.subtract({ days: day.dayOfWeek - 1 }) : day.with({ day: 1 });
  const next = first.add(kind === 'day' ? { days: 1 } : kind === 'week' ? { days: 7 } : { months: 1 });
  // Without a time of day, a date becomes its first instant there.
  return {
    startMs: first.toZonedDateTime(timeZone).epochMilliseconds,
    endMs: next.toZonedDateTime(timeZone).epochMilliseconds,
  };
}

/** Periods that were worked out, so that a call needs two comparisons only. */
export interface Periods {
  at(timeZone: string, kind: PeriodKind, atMs: number): Period;
}

/** The newest period asked for and the one before: calls that began before midnight end after it. */
interface Known {
  newest: Period;
  before: Period | null;
}

/** There are some 600 zones; names for the same one and offsets make more. */
const maxZones = 2_000;

export function createPeriods(): Periods {
  const zones = new Map<string, Record<PeriodKind, Known | null>>();
  return {
    at(timeZone, kind, atMs) {
      let zone = zones.get(timeZone);
      if (zone === undefined) {
        if (zones.size >= maxZones) zones.clear();
        zone = { day: null, week: null, month: null };
        zones.set(timeZone, zone);
      }
      const known = zone[kind];
      if (known !== null) {
        if (contains(known.newest, atMs)) return known.newest;
        if (known.before !== null && contains(known.before, atMs)) return known.before;
      }
      const period = periodAround(timeZone, kind, atMs);
      if (known === null) zone[kind] = { newest: period, before: null };
      else if (period.startMs > known.newest.startMs) zone[kind] = { newest: period, before: known.newest };
      else known.before = period;
      return period;
    },
  };
}

function contains(period: Period, atMs: number): boolean {
  return atMs >= period.startMs && atMs < period.endMs;
}
