import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRateLimits } from './rate-limits.ts';

const perMinute = { requestsPerMinute: 60, tokensPerMinute: 6_000 };

test('a refused call is admitted after exactly the time it was told', () => {
  const clock = { ms: 0 };
  const limits = createRateLimits({ ...perMinute, enforced: true }, () => clock.ms);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(400), fc.nat(3_000)), { maxLength: 200 }), (steps) => {
      limits.reset();
      for (const [waitMs, tokens] of steps) {
        clock.ms += waitMs;
        const { exceeded } = limits.take('key', tokens);
        if (!exceeded) continue;
        clock.ms += exceeded.retryAfterS * 1_000 + 0.001;
        expect(limits.take('key', exceeded.limitedBy === 'tokens' ? tokens : 0).exceeded).toBeUndefined();
      }
    }),
  );
});

test('a reading tells the limits and what is left, each key for itself', () => {
  const limits = createRateLimits({ ...perMinute, enforced: true }, () => 0);
  limits.take('one', 1_000);
  expect(limits.take('one', 500)).toMatchObject({
    requestsPerMinute: 60,
    tokensPerMinute: 6_000,
    requestsLeft: 58,
    tokensLeft: 4_500,
    requestsResetMs: expect.closeTo(2_000),
    tokensResetMs: expect.closeTo(15_000),
  });
  expect(limits.take('two', 0).requestsLeft).toBe(59);
});

test('limits that are only told never refuse', () => {
  const limits = createRateLimits({ ...perMinute, enforced: false }, () => 0);
  const readings = Array.from({ length: 100 }, () => limits.take('key', 1_000));
  expect(readings.some(({ exceeded }) => exceeded)).toBe(false);
  expect(readings.at(-1)?.requestsLeft).toBe(0);
});
