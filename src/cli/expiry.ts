import { UsageError } from './command.ts';

const hourMs = 3_600_000;
const unitsMs: Readonly<Record<string, number>> = { h: hourMs, d: 24 * hourMs, w: 7 * 24 * hourMs };
/** A century: more is a slip of the keyboard. */
const longestMs = 100 * 365 * 24 * hourMs;

/**
 * When something expires, as people write it.
 * @param text a time from now (`12h`, `90d`, `4w`), a date (its end, UTC), or a date with time (ISO 8601).
 * @returns ISO 8601 in UTC.
 * @throws UsageError when it is neither, or not in the next hundred years.
 */
export function parseExpiry(text: string, now: Date): string {
  const at = fromNow(text, now) ?? fromDate(text);
  if (at === null || Number.isNaN(at)) {
    throw new UsageError(`"${text}" is not a time; write 90d, 12h, 4w, 2030-01-31 or 2030-01-31T12:00:00Z.`);
  }
  if (at <= now.getTime()) throw new UsageError(`"${text}" has passed already.`);
  if (at > now.getTime() + longestMs) throw new UsageError(`"${text}" is too far away.`);
  return new Date(at).toISOString();
}

function fromNow(text: string, now: Date): number | null {
  const match = /^(\d{1,7})([hdw])$/.exec(text);
  return match ? now.getTime() + Number(match[1]) * (unitsMs[match[2] ?? ''] ?? Number.NaN) : null;
}

function fromDate(text: string): number | null {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return endOfDay(text);
  if (/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(text))
    return Date.parse(text);
  return null;
}

/** A key that "expires on the 31st" works on the 31st. February 31st is refused rather than moved to March. */
function endOfDay(date: string): number {
  const at = new Date(`${date}T23:59:59.999Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(date) ? at.getTime() : Number.NaN;
}
