import type { Demand } from '../../../src/limits/index.ts';

/** When these tests begin, and the demands that they make: a window, tokens held beforehand, calls at once, money, a bucket. */
export const startMs = 1_763_700_000_000;
export const day = 86_400_000;
export const perDay = (limit: number, amount = 1): Demand => ({
  kind: 'window',
  counter: 'calls-per-day',
  windowMs: day,
  limit,
  amount,
  reserved: false,
});
export const tokens = (limit: number, amount: number): Demand => ({
  kind: 'window',
  counter: 'tokens-per-day',
  windowMs: day,
  limit,
  amount,
  reserved: true,
});
export const atOnce = (limit: number): Demand => ({ kind: 'concurrent', counter: 'at-once', limit });
export const budget = (limit: number, amount: number): Demand => ({
  kind: 'budget',
  counter: 'budget:b:1',
  limit,
  amount,
  endsAtMs: startMs + 30 * day,
});
export const bucket = (burst: number): Demand => ({
  kind: 'rate',
  counter: 'per-second',
  milliPerSecond: 1,
  burst,
  amount: 1,
});
