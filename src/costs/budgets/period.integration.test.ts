import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { createPeriods, type PeriodKind, periodAround, periodKinds } from './period.ts';

/** Where clocks change at midnight, twice a year, by half an hour, or not at all; where a day was left out; odd offsets. */
const zones = [
  'UTC',
  'Europe/Berlin',
  'Europe/London',
  'Europe/Dublin',
  'America/New_York',
  'America/Los_Angeles',
  'America/Sao_Paulo',
  'America/Santiago',
  'America/Havana',
  'America/Asuncion',
  'America/St_Johns',
  'Asia/Beirut',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Asia/Tehran',
  'Asia/Tokyo',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Atlantic/Azores',
  'Australia/Lord_Howe',
  'Australia/Adelaide',
  'Pacific/Apia',
  'Pacific/Chatham',
  'Pacific/Kiritimati',
] as const;

let test: TestDatabase;
beforeAll(async () => {
  test = await createTestDatabase();
});
afterAll(() => test.drop());

const instants = fc.date({ min: new Date('2005-01-01'), max: new Date('2024-12-31'), noInvalidDate: true });
const anywhere = fc.record({
  zone: fc.constantFrom(...zones),
  kind: fc.constantFrom(...periodKinds),
  at: instants,
});
/** Instants within two days of a change of clocks, where mistakes live. */
const changes = new Map<string, number[]>();
const nearChange = fc
  .record({
    zone: fc.constantFrom(...zones),
    kind: fc.constantFrom(...periodKinds),
    which: fc.nat(),
    offMs: fc.integer({ min: -172_800_000, max: 172_800_000 }),
  })
  .map(({ zone, kind, which, offMs }) => {
    const known = changes.get(zone) ?? changesOf(zone);
    changes.set(zone, known);
    const change = known[which % Math.max(1, known.length)] ?? Date.UTC(2020, 0, 1);
    return { zone, kind, at: new Date(change + offMs) };
  });

function changesOf(zone: string): number[] {
  const found: number[] = [];
  const offset = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' });
  const offsetAt = (ms: number) =>
    offset.formatToParts(ms).find(({ type }) => type === 'timeZoneName')?.value;
  for (let ms = Date.UTC(2008, 0, 1); ms < Date.UTC(2018, 0, 1); ms += 86_400_000) {
    if (offsetAt(ms) !== offsetAt(ms + 86_400_000)) found.push(ms);
  }
  return found;
}

/**
 * What PostgreSQL says of the date: the first instant of a local day is the earliest that has its date, which is found
 * without asking it for a midnight that comes twice or never.
 */
async function said(cases: readonly { zone: string; kind: PeriodKind; at: Date }[]) {
  const { rows } = await sql<{ start_date: string; end_date: string; dates: Record<string, string> }>`
    with given as (
      select ordinality as n, zone, kind, at from unnest(
        ${cases.map(({ zone }) => zone)}::text[], ${cases.map(({ kind }) => kind)}::text[],
        ${cases.map(({ at }) => at.toISOString())}::timestamptz[]) with ordinality as g (zone, kind, at, ordinality)
    ) select to_char(date_trunc(kind, at at time zone zone), 'YYYY-MM-DD') as start_date,
        to_char(date_trunc(kind, at at time zone zone) + ('1 ' || kind)::interval, 'YYYY-MM-DD') as end_date
      from given order by n`.execute(test.database.platform);
  return rows;
}

/** Local date and time at instants, as PostgreSQL has them. */
async function localOf(zone: readonly string[], ms: readonly number[]): Promise<string[]> {
  const { rows } = await sql<{
    local: string;
  }>`select to_char(at at time zone zone, 'YYYY-MM-DD HH24:MI:SS.MS') as local
    from unnest(${zone}::text[], ${ms.map((one) => new Date(one).toISOString())}::timestamptz[])
      with ordinality as g (zone, at, n) order by n`.execute(test.database.platform);
  return rows.map(({ local }) => local);
}

describe('periods, compared with PostgreSQL', () => {
  it.each([
    ['anywhere', anywhere],
    ['near a change of clocks', nearChange],
  ])(
    'begin with the first and end before the next first instant of the date there: %s',
    async (_, arbitrary) => {
      const cases = fc.sample(arbitrary, 3_000);
      const periods = cases.map(({ zone, kind, at }) => periodAround(zone, kind, at.getTime()));
      const dates = await said(cases);
      const zonesOf = cases.map(({ zone }) => zone);
      const first = await localOf(
        zonesOf,
        periods.map(({ startMs }) => startMs),
      );
      const before = await localOf(
        zonesOf,
        periods.map(({ startMs }) => startMs - 1),
      );
      const last = await localOf(
        zonesOf,
        periods.map(({ endMs }) => endMs - 1),
      );
      const after = await localOf(
        zonesOf,
        periods.map(({ endMs }) => endMs),
      );
      for (const [i, { at }] of cases.entries()) {
        const { start_date, end_date } = dates[i] ?? { start_date: '', end_date: '' };
        const period = periods[i] ?? { startMs: 0, endMs: 0 };
        const what = `${JSON.stringify(cases[i])} ${new Date(period.startMs).toISOString()} ${new Date(period.endMs).toISOString()}`;
        expect(at.getTime(), what).toBeGreaterThanOrEqual(period.startMs);
        expect(at.getTime(), what).toBeLessThan(period.endMs);
        // A date that was left out there begins with the one after it.
        expect((first[i] ?? '') >= start_date, what).toBe(true);
        expect((before[i] ?? '') < start_date, what).toBe(true);
        expect((last[i] ?? '') < `${end_date} 00`, what).toBe(true);
        expect((after[i] ?? '') >= end_date, what).toBe(true);
      }
    },
  );

  it('follow each other without a gap, each worked out once', async () => {
    fc.assert(
      fc.property(anywhere, fc.integer({ min: 1, max: 40 }), ({ zone, kind, at }, steps) => {
        const periods = createPeriods();
        let current = periods.at(zone, kind, at.getTime());
        for (let i = 0; i < steps; i++) {
          expect(periods.at(zone, kind, current.endMs - 1)).toBe(current);
          const next = periods.at(zone, kind, current.endMs);
          expect(next.startMs).toBe(current.endMs);
          expect(periods.at(zone, kind, current.startMs)).toBe(current);
          current = next;
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('a day', () => {
  const hours = (zone: string, at: string) => {
    const { startMs, endMs } = periodAround(zone, 'day', Date.parse(at));
    return [(endMs - startMs) / 3_600_000, new Date(startMs).toISOString()];
  };

  it('has 23 or 25 hours where clocks change', () => {
    expect(hours('Europe/Berlin', '2026-03-29T10:00:00Z')).toEqual([23, '2026-03-28T23:00:00.000Z']);
    expect(hours('Europe/Berlin', '2026-10-25T10:00:00Z')).toEqual([25, '2026-10-24T22:00:00.000Z']);
    expect(hours('Australia/Lord_Howe', '2026-04-05T00:00:00Z')[0]).toBe(24.5);
  });

  it('begins at one o’clock where midnight is skipped, and with the first midnight where it comes twice', () => {
    expect(hours('America/Sao_Paulo', '2018-11-04T12:00:00Z')).toEqual([23, '2018-11-04T03:00:00.000Z']);
    expect(hours('America/Havana', '2026-11-01T04:30:00Z')).toEqual([25, '2026-11-01T04:00:00.000Z']);
    expect(hours('America/Havana', '2026-11-01T05:30:00Z')).toEqual([25, '2026-11-01T04:00:00.000Z']);
  });

  it('is left out where the date line was moved over it', () => {
    expect(hours('Pacific/Apia', '2011-12-29T12:00:00Z')).toEqual([24, '2011-12-29T10:00:00.000Z']);
    expect(hours('Pacific/Apia', '2011-12-30T12:00:00Z')).toEqual([24, '2011-12-30T10:00:00.000Z']);
  });

  it('of the week begins on Monday', () => {
    const { startMs } = periodAround('Asia/Tokyo', 'week', Date.parse('2026-11-22T14:59:00Z'));
    expect(new Date(startMs).toISOString()).toBe('2026-11-15T15:00:00.000Z');
  });
});
