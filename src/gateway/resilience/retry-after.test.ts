import { describe, expect, it } from 'vitest';
import { backoffMs } from './backoff.ts';
import { retryAfterMs } from './retry-after.ts';

const now = Date.UTC(2026, 10, 21, 5, 0, 0);

describe('when a provider takes calls again', () => {
  it.each([
    [{ 'retry-after': '7' }, 7_000],
    [{ 'retry-after': '0.5' }, 500],
    [{ 'retry-after': 'Sat, 21 Nov 2026 05:00:09 GMT' }, 9_000],
    [{ 'retry-after': 'Sat, 21 Nov 2026 04:00:00 GMT' }, 0],
    [{ 'retry-after': '7', 'retry-after-ms': '120' }, 120],
    [{ 'x-ratelimit-reset-requests': '1m2.5s', 'x-ratelimit-remaining-requests': '0' }, 62_500],
    [{ 'x-ratelimit-reset-tokens': '20ms', 'x-ratelimit-remaining-tokens': '0' }, 20],
    [
      {
        'x-ratelimit-reset-requests': '6h',
        'x-ratelimit-remaining-requests': '9',
        'x-ratelimit-reset-tokens': '3s',
        'x-ratelimit-remaining-tokens': '0',
      },
      3_000,
    ],
    [{ 'x-ratelimit-reset': '5', 'x-ratelimit-remaining': '0' }, 5_000],
    [{ 'x-ratelimit-reset': String(now / 1_000 + 4), 'x-ratelimit-remaining': '0' }, 4_000],
    [{ 'x-ratelimit-reset': String(now + 4), 'x-ratelimit-remaining': '0' }, 4],
  ])('is read from %o', (headers, ms) => {
    expect(retryAfterMs(headers, now)).toBe(ms);
  });

  it.each([
    {},
    { 'retry-after': 'soon' },
    { 'retry-after': '-1' },
    { 'retry-after': '2026-11-21' },
    { 'retry-after': ['1', '2'] },
    { 'x-ratelimit-reset-requests': '1s' },
    { 'x-ratelimit-reset': '5' },
  ])('is not guessed from %o', (headers) => {
    expect(retryAfterMs(headers, now)).toBeNull();
  });
});

describe('the pause before a further round', () => {
  it('is anything up to a bound that doubles from 100 ms to 30 s', () => {
    const almostOne = () => 1 - Number.EPSILON;
    expect([1, 2, 3, 9, 10, 50].map((round) => Math.round(backoffMs(round, almostOne)))).toEqual([
      100, 200, 400, 25_600, 30_000, 30_000,
    ]);
    expect(backoffMs(3, () => 0)).toBe(0);
    expect(backoffMs(3, () => 0.5)).toBe(200);
  });
});
