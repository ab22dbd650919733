import { Temporal } from 'temporal-polyfill';

// Days and months of a tenant's time zone. An unknown time zone throws RangeError; settings are checked when they are set.

/** The day that a moment is in, such as `2026-11-21`. */
export function dayOf(at: Date, timeZone: string): string {
  return zoned(at, timeZone).toPlainDate().toString();
}

/** When a day begins: where midnight is left out by a change of clocks, its first moment. @param day `2026-11-21`. */
export function startOfDay(day: string, timeZone: string): Date {
  return dateOf(Temporal.PlainDate.from(day).toZonedDateTime(timeZone));
}

export function addDays(day: string, count: number): string {
  return Temporal.PlainDate.from(day).add({ days: count }).toString();
}

/** 1 is Monday, 7 is Sunday. */
export function weekdayOf(day: string): number {
  return Temporal.PlainDate.from(day).dayOfWeek;
}

/** Days from `from` up to and without `to`. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  for (let day = from; day < to; day = addDays(day, 1)) days.push(day);
  return days;
}

/** The first day of the month that a moment is in, and of the one after it. */
export function monthOf(at: Date, timeZone: string): { first: string; next: string } {
  const first = zoned(at, timeZone).toPlainDate().with({ day: 1 });
  return { first: first.toString(), next: first.add({ months: 1 }).toString() };
}

/**
 * Whether the time zone is off by whole hours throughout a period. Looked at once in two weeks: no time zone has been off
 * by a broken number of hours for less.
 */
export function beginsWithHours(timeZone: string, { from, to }: { from: Date; to: Date }): boolean {
  const hourNs = 3_600_000_000_000;
  for (let ms = from.getTime(); ; ms += 14 * 86_400_000) {
    const at = new Date(Math.min(ms, to.getTime()));
    if (zoned(at, timeZone).offsetNanoseconds % hourNs !== 0) return false;
    if (at.getTime() >= to.getTime()) return true;
  }
}

function zoned(at: Date, timeZone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(timeZone);
}

function dateOf(time: Temporal.ZonedDateTime): Date {
  return new Date(time.epochMilliseconds);
}
