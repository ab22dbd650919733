import { AppError } from '../../platform/errors.ts';
import { periodAround } from '../budgets/period.ts';
import type { Period } from './report.store.ts';
import { startOfDay } from './zoned-time.ts';

const dayMs = 86_400_000;
/** Cost events are kept for 366 days, so no report needs more. */
const longestDays = 366;
/** Years that time zones can be computed for, with room at either end. */
const earliest = Date.UTC(1970, 0, 1);
const latest = Date.UTC(2200, 0, 1);

/**
 * The span of time of a report.
 * @param given times, or days such as `2026-11-01`, which begin in the time zone; default: this month there.
 * @throws AppError `invalid` when `to` is not after `from`, or they are more than 366 days apart.
 */
export function reportPeriod(
  given: { readonly from: string | Date | undefined; readonly to: string | Date | undefined },
  timeZone: string,
  now: Date,
): Period {
  const month = periodAround(timeZone, 'month', now.getTime());
  const from = momentOf(given.from, timeZone) ?? new Date(month.startMs);
  const to = momentOf(given.to, timeZone) ?? new Date(month.endMs);
  const days = (to.getTime() - from.getTime()) / dayMs;
  // An hour more, because a year from midnight to midnight is longer where clocks are put back once more than forth.
  if (!(days > 0 && days <= longestDays + 1 / 24) || from.getTime() < earliest || to.getTime() > latest) {
    throw new AppError('invalid', '"to" must be after "from", by at most 366 days.', {
      errors: [{ path: 'to', message: 'must be after from, by at most 366 days' }],
    });
  }
  return { from, to };
}

function momentOf(given: string | Date | undefined, timeZone: string): Date | null {
  if (given === undefined) return null;
  if (given instanceof Date) return given;
  return /^\d{4}-\d\d-\d\d$/.test(given) ? startOfDay(given, timeZone) : new Date(given);
}
