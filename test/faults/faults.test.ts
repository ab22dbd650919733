import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Providers, type Result, runScenario, startProviders } from './run-scenario.ts';
import { scenarioOf } from './scenario.ts';
import { summaryOf } from './summary.ts';

/** A sample of what `npm run soak:faults` plays: as many as fit into half a minute. */
const schedules = 60;
const atOnce = 4;

describe('a faulty provider and a healthy one that stands by', () => {
  const providers: Providers[] = [];
  beforeAll(async () => {
    for (let n = 0; n < atOnce; n++) providers.push(await startProviders(n + 1));
  });
  afterAll(async () => {
    for (const pair of providers) await pair.stop();
  });

  it(`are one provider that answers, through ${schedules} schedules of faults`, async () => {
    const results: Result[] = [];
    let next = 1;
    await Promise.all(
      providers.map(async (pair) => {
        for (let seed = next++; seed <= schedules; seed = next++)
          results.push(await runScenario(scenarioOf(seed), pair));
      }),
    );
    const { successPercent, retryPercent, faults } = summaryOf(results);
    expect(results.flatMap((result) => result.violations)).toEqual([]);
    expect(successPercent, results.flatMap((result) => result.failures).join('\n')).toBeGreaterThanOrEqual(
      99.9,
    );
    expect(retryPercent).toBeLessThanOrEqual(20);
    // The schedules have teeth.
    expect(Object.keys(faults).length).toBeGreaterThan(12);
  }, 240_000);
});
