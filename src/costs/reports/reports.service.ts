import type { Principal } from '../../access/index.ts';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { Dimension, Summed } from './dimensions.ts';
import { type Forecast, forecastRest, type SpentDay } from './forecast.ts';
import type { Sums } from './measures.ts';
import type { NamesStore } from './names.store.ts';
import type { BreakdownCursor, Period, ReportStore } from './report.store.ts';
import { reportPeriod } from './report-period.ts';
import { addDays, dayOf, daysBetween, monthOf, startOfDay, weekdayOf } from './zoned-time.ts';

export interface ReportsDependencies {
  readonly store: ReportStore;
  readonly names: NamesStore;
  readonly clock: Pick<Clock, 'now'>;
  /** Resolves when what was recorded before can be read from the ledger, or soon after it cannot. */
  readonly flush: () => Promise<unknown>;
}

/** Whose reports, and in which time zone. */
export type Reader = Pick<Principal, 'tenantId' | 'readerTokens'> & {
  readonly tenant: { readonly timeZone: string };
};

export interface Line extends Sums {
  readonly value: string | null;
  readonly name: string | null;
}

export interface Breakdown extends Period {
  readonly lines: readonly Line[];
  readonly nextCursor: string | null;
}

export interface MonthForecast {
  readonly month: string;
  readonly spentNanoUsd: bigint;
  /** Whole month: what was spent, and the forecast of the rest, nano-dollars. */
  readonly monthEnd: { readonly expected: bigint; readonly low: bigint; readonly high: bigint } | null;
  readonly forecast: Forecast;
}

export type Reports = ReturnType<typeof createReports>;

const historyDays = 56;
const nanoPerUsd = 1e9;

/** What costs come to, by whom and on what, and what they will come to. */
export function createReports({ store, names, clock, flush }: ReportsDependencies) {
  async function daysPage(reader: Reader, period: Period, limit: number, cursor: string | undefined) {
    const after = cursor === undefined ? null : dayCursor(cursor);
    const days = await store.days(reader, period, reader.tenant.timeZone, { limit: limit + 1, after });
    const lines = days.slice(0, limit).map((day): Line => ({ ...day, value: day.day, name: null }));
    const last = days.length > limit ? lines.at(-1) : undefined;
    return { ...period, lines, nextCursor: last ? encode([last.value]) : null };
  }

  async function linesPage(
    reader: Reader,
    by: Dimension,
    period: Period,
    limit: number,
    cursor: string | undefined,
  ) {
    const after = cursor === undefined ? null : lineCursor(cursor);
    const found = await store.breakdown(reader, by, period, { limit: limit + 1, after });
    const shown = found.slice(0, limit);
    const known =
      by === 'key' || by === 'user'
        ? await names.namesOf(
            reader,
            by,
            shown.flatMap(({ value }) => value ?? []),
          )
        : new Map<string, string>();
    const lines = shown.map((line): Line => ({ ...line, name: known.get(line.value ?? '') ?? null }));
    const last = found.length > limit ? lines.at(-1) : undefined;
    return {
      ...period,
      lines,
      nextCursor: last ? encode([String(last.cost_nano_usd), last.value]) : null,
    };
  }

  return {
    /**
     * A page of what costs are made up of, the most expensive first, or of days in their order.
     * @throws AppError `invalid` on a span that is none or too long, or a cursor that no page gave out.
     */
    async breakdown(
      reader: Reader,
      wish: {
        readonly by: Dimension | 'day';
        readonly from: string | undefined;
        readonly to: string | undefined;
        readonly limit: number;
        readonly cursor: string | undefined;
      },
    ): Promise<Breakdown> {
      const { by, limit, cursor } = wish;
      const period = reportPeriod(wish, reader.tenant.timeZone, clock.now());
      await flush();
      return by === 'day'
        ? daysPage(reader, period, limit, cursor)
        : linesPage(reader, by, period, limit, cursor);
    },

    /** What this month of the tenant's will have cost at its end. */
    async forecast(reader: Reader): Promise<MonthForecast> {
      await flush();
      return forecastMonth(store, reader, 'all', null, clock.now());
    },
  };
}

/** The same for one value of a dimension. */
export async function forecastMonth(
  store: Pick<ReportStore, 'dailyCost'>,
  reader: Reader,
  dimension: Summed,
  value: string | null,
  now: Date,
): Promise<MonthForecast> {
  const { timeZone } = reader.tenant;
  const today = dayOf(now, timeZone);
  const month = monthOf(now, timeZone);
  const firstDay = [addDays(today, -historyDays), month.first].sort()[0] ?? month.first;
  const period = { from: startOfDay(firstDay, timeZone), to: startOfDay(addDays(today, 1), timeZone) };
  const costs = new Map(
    (await store.dailyCost(reader, dimension, value, period, timeZone)).map((each) => [
      each.day,
      each.cost_nano_usd,
    ]),
  );
  const dollars = (day: string) => Number(costs.get(day) ?? 0n) / nanoPerUsd;
  const history = daysBetween(firstDay, today).map(
    (day): SpentDay => ({ weekday: weekdayOf(day), spent: dollars(day) }),
  );
  const ahead = daysBetween(today, month.next).map((day) => ({ weekday: weekdayOf(day) }));
  const forecast = forecastRest(history, dollars(today), ahead);
  const before = daysBetween(month.first, today).reduce((sum, day) => sum + (costs.get(day) ?? 0n), 0n);
  const spent = before + (costs.get(today) ?? 0n);
  const whole = (rest: number) => {
    const end = before + BigInt(Math.round(rest * nanoPerUsd));
    return end > spent ? end : spent;
  };
  const { rest } = forecast;
  return {
    month: month.first.slice(0, 7),
    spentNanoUsd: spent,
    monthEnd: rest && { expected: whole(rest.expected), low: whole(rest.low), high: whole(rest.high) },
    forecast,
  };
}

function encode(parts: readonly (string | null)[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

function decode(cursor: string): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(parts)) return parts;
  } catch {
    // Whatever is wrong with it, it is no cursor.
  }
  throw noCursor();
}

function lineCursor(cursor: string): BreakdownCursor {
  const [cost, value, ...more] = decode(cursor);
  const known = value === null || typeof value === 'string';
  if (typeof cost !== 'string' || !/^\d{1,18}$/.test(cost) || !known || more.length > 0) throw noCursor();
  if (value?.includes('\0')) throw noCursor();
  return { costNanoUsd: BigInt(cost), value };
}

function dayCursor(cursor: string): string {
  const [day, ...more] = decode(cursor);
  if (typeof day !== 'string' || !/^\d{4}-\d\d-\d\d$/.test(day) || more.length > 0) throw noCursor();
  // There is no 30 February, though Date takes it for 2 March.
  if (new Date(`${day}T00:00:00Z`).toJSON()?.slice(0, 10) !== day) throw noCursor();
  return day;
}

function noCursor(): AppError {
  return new AppError('invalid', 'The cursor is not one that this list gave out. Start without a cursor.', {
    errors: [{ path: 'cursor', message: 'not a cursor' }],
  });
}
