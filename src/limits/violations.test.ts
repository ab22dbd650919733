import { expect, it } from 'vitest';
import { createMetrics } from '../platform/metrics.ts';
import { createViolationCount } from './violations.ts';

it('refusals are counted by limit and scope, in so many lines only', async () => {
  const metrics = createMetrics();
  const count = createViolationCount(metrics);
  count('requests_per_minute', 'ip');
  count('requests_per_minute', 'ip');
  count('tokens_per_day', 'tenant');
  for (let i = 0; i < 200; i++) count(`invented_${i}`, 'tenant');
  const text = await metrics.metrics();
  expect(text).toContain('rate_limit_violations_total{limit="requests_per_minute",scope="ip"} 2');
  expect(text).toContain('rate_limit_violations_total{limit="tokens_per_day",scope="tenant"} 1');
  expect(text).toMatch(/rate_limit_violations_total\{limit="other",scope="other"\} 102\n/);
  expect(text.match(/rate_limit_violations_total\{/g)).toHaveLength(101);
});
