import { expect, it } from 'vitest';
import { AppError } from '../platform/errors.ts';
import { createMetrics } from '../platform/metrics.ts';
import type { Demand, Refused } from './counters/counters.ts';
import type { LimitGate } from './limit-gate.ts';
import { countingViolations } from './violations.ts';

const refused: Refused = {
  outcome: 'refused',
  exhausted: 0,
  states: [],
  retryAfterMs: 1,
  heldByOthers: false,
};
const demand: Demand = { kind: 'concurrent', counter: 'c', limit: 1 };

it('refusals are counted by limit and scope, never by subject, and in so many lines only', async () => {
  let next: Record<string, unknown> = {};
  const gate = {
    refusal: () => new AppError('rate_limited', 'no', { extra: next }),
    demandsOfStranger: () => [demand],
  } as unknown as LimitGate;
  const metrics = createMetrics();
  const counting = countingViolations(gate, metrics);
  const refuse = (limit: unknown, scope: unknown) => {
    next = { limit, scope, subject: 'somebody' };
    expect(counting.refusal(demand, refused)).toMatchObject({ code: 'rate_limited', extra: next });
  };
  refuse('requests_per_minute', 'ip');
  refuse('requests_per_minute', 'ip');
  refuse('tokens_per_day', 'tenant');
  refuse(undefined, 7);
  for (let i = 0; i < 200; i++) refuse(`invented_${i}`, 'tenant');
  const text = await metrics.metrics();
  expect(text).toContain('rate_limit_violations_total{limit="requests_per_minute",scope="ip"} 2');
  expect(text).toContain('rate_limit_violations_total{limit="tokens_per_day",scope="tenant"} 1');
  expect(text).toMatch(/rate_limit_violations_total\{limit="other",scope="other"\} 103\n/);
  expect(text).not.toContain('somebody');
  expect(text.match(/rate_limit_violations_total\{/g)).toHaveLength(101);
  expect(counting.demandsOfStranger('192.0.2.1')).toEqual([demand]);
});
