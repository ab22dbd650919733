import { describe, expect, it } from 'vitest';
import {
  addDays,
  beginsWithHours,
  dayOf,
  daysBetween,
  monthOf,
  startOfDay,
  weekdayOf,
} from './zoned-time.ts';

const year = { from: new Date('2026-01-01T00:00:00Z'), to: new Date('2027-01-01T00:00:00Z') };

describe('days of a time zone', () => {
  it('begin with an hour of UTC in most, and with a quarter of one in some, for a part of the year in one', () => {
    for (const timeZone of ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Tokyo']) {
      expect({ timeZone, whole: beginsWithHours(timeZone, year) }).toEqual({ timeZone, whole: true });
    }
    for (const timeZone of ['Asia/Kolkata', 'America/St_Johns', 'Pacific/Chatham', 'Australia/Lord_Howe']) {
      expect({ timeZone, whole: beginsWithHours(timeZone, year) }).toEqual({ timeZone, whole: false });
    }
    // In its summer, Lord Howe is off by eleven hours.
    const january = { from: year.from, to: new Date('2026-02-01T00:00:00Z') };
    expect(beginsWithHours('Australia/Lord_Howe', january)).toBe(true);
  });

  it('begin where midnight is left out with their first moment', () => {
    // Clocks in Beirut went from 00:00 to 01:00 on 29 March 2026.
    expect(startOfDay('2026-03-29', 'Asia/Beirut').toISOString()).toBe('2026-03-28T22:00:00.000Z');
    expect(startOfDay('2026-11-01', 'Europe/Berlin').toISOString()).toBe('2026-10-31T23:00:00.000Z');
  });

  it('follow one another across months and years', () => {
    expect(daysBetween('2026-12-30', '2027-01-02')).toEqual(['2026-12-30', '2026-12-31', '2027-01-01']);
    expect(addDays('2026-03-01', -1)).toBe('2026-02-28');
    expect(weekdayOf('2026-11-22')).toBe(7);
    expect(dayOf(new Date('2026-10-31T23:30:00Z'), 'Europe/Berlin')).toBe('2026-11-01');
    expect(monthOf(new Date('2026-12-31T23:30:00Z'), 'Europe/Berlin')).toEqual({
      first: '2027-01-01',
      next: '2027-02-01',
    });
  });
});
