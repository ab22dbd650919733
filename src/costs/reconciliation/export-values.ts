import { decimalOf, scaled } from '../money.ts';
import { exportFault, shown } from './export-fault.ts';

/** Values of exports, JSON or CSV, each read with the place that an error names. */

const maxCount = 2 ** 50;

/** A count of tokens or calls; what is absent or empty is 0. */
export function countAt(value: unknown, place: string): number {
  if (value === undefined || value === null || value === '') return 0;
  const count = typeof value === 'string' && /^\d+(\.0+)?$/.test(value) ? Number(value) : value;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 0 || count > maxCount) {
    throw exportFault(place, `${shown(value)} is not a count`);
  }
  return count;
}

/** @returns null for what is absent or empty. */
export function textAt(value: unknown, place: string): string | null {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value !== 'string' || value.length > 300)
    throw exportFault(place, `${shown(value)} is not a name`);
  return value;
}

/**
 * Money of either sign, as it stands there.
 * @param places decimal places from its unit down to nano-dollars: 9 for dollars, 7 for cents.
 */
export function moneyAt(value: unknown, places: number, place: string): bigint {
  if (value === undefined || value === null || value === '') return 0n;
  const fault = () => exportFault(place, `${shown(value)} is not an amount of money`);
  if (typeof value !== 'string' && typeof value !== 'number') throw fault();
  if (String(value).length > 60) throw fault();
  try {
    const negative = String(value).startsWith('-');
    // An exponent is how a number of JSON is written that is very small.
    const plain =
      typeof value === 'string' && !/e/i.test(value) ? value.replace(/^-/, '') : Math.abs(Number(value));
    const nano = scaled(decimalOf(plain), places);
    if (nano > 10n ** 18n) throw fault();
    return negative ? -nano : nano;
  } catch {
    throw fault();
  }
}

/** Exports are in US dollars; another currency is another sum. */
export function requireUsd(value: unknown, place: string): void {
  if (value === undefined || value === null || value === '') return;
  if (typeof value !== 'string' || value.toLowerCase() !== 'usd') {
    throw exportFault(place, `amounts are compared in US dollars, not ${shown(value)}`);
  }
}

const dayMs = 86_400_000;

/** The UTC day of a bucket, which must not reach over its end. */
export function dayOfBucket(startMs: number, endMs: number, place: string): string {
  const sane = startMs > Date.UTC(2015) && startMs < Date.UTC(2200) && endMs > startMs;
  if (!sane) throw exportFault(place, 'is not a span of time');
  if (Math.floor(startMs / dayMs) !== Math.floor((endMs - 1) / dayMs)) {
    throw exportFault(place, 'reaches over several UTC days; export it by day, hour or minute');
  }
  return new Date(startMs).toISOString().slice(0, 10);
}

/** Seconds since the epoch, as a number or digits. */
export function secondsAt(value: unknown, place: string): number {
  const seconds = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof seconds !== 'number' || !Number.isInteger(seconds)) {
    throw exportFault(place, `${shown(value)} is not a time in seconds`);
  }
  return seconds * 1_000;
}

/** RFC 3339. */
export function timeAt(value: unknown, place: string): number {
  const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
  const time = typeof value === 'string' && form.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(time))
    throw exportFault(place, `${shown(value)} is not a time such as 2026-10-01T00:00:00Z`);
  return time;
}

/** `YYYY-MM-DD`, or with a time of day behind it. */
export function dayAt(value: unknown, place: string): string {
  const day = typeof value === 'string' ? /^(\d{4}-\d\d-\d\d)([T ].*)?$/.exec(value)?.[1] : undefined;
  const time = day === undefined ? Number.NaN : Date.parse(`${day}T00:00:00Z`);
  if (day === undefined || Number.isNaN(time) || new Date(time).toISOString().slice(0, 10) !== day) {
    throw exportFault(place, `${shown(value)} is not a day such as 2026-10-01`);
  }
  return day;
}
