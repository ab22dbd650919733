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

test('the headers tell the limits and what is left, each key for itself', () => {
  const limits = createRateLimits({ ...perMinute, enforced: true }, () => 0);
  limits.take('one', 1_000);
  expect(limits.take('one', 500).headers).toEqual({
    'x-ratelimit-limit-requests': '60',
    'x-ratelimit-limit-tokens': '6000',
    'x-ratelimit-remaining-requests': '58',
    'x-ratelimit-remaining-tokens': '4500',
    'x-ratelimit-reset-requests': '2s',
    'x-ratelimit-reset-tokens': '15s',
  });
  expect(limits.take('two', 0).headers['x-ratelimit-remaining-requests']).toBe('59');
});

test('limits that are only told never refuse', () => {
  const limits = createRateLimits({ ...perMinute, enforced: false }, () => 0);
  const readings = Array.from({ length: 100 }, () => limits.take('key', 1_000));
  expect(readings.some(({ exceeded }) => exceeded)).toBe(false);
  expect(readings.at(-1)?.headers['x-ratelimit-remaining-requests']).toBe('0');
});
