import { parseArgs } from 'node:util';
import { type Result, runScenario, startProviders } from './run-scenario.ts';
import { scenarioOf } from './scenario.ts';
import { type Summary, summaryOf } from './summary.ts';

const usage = `Plays fault schedules (limits, hangs, resets, cuts, garbage) against a faulty provider with a healthy one standing
by, and checks every answer, every retry and every ledger row.

  npm run soak:faults -- [options]

  --schedules 1000   how many schedules (default 1000)
  --seed 1           seed of the first one; the others follow (default 1)
  --at-once 4        schedules played at the same time, each with its own gateway and providers (default 4)
  --json             print the summary as JSON only

Exit code 1 when fewer than 99.9 % of the calls succeeded, retries were more than 20 % of them, a ledger row was wrong or
anything was done twice.
`;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    schedules: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    'at-once': { type: 'string', default: '4' },
    json: { type: 'boolean' },
  },
});

if (values.help) process.stdout.write(usage);
else process.exitCode = await soak();

async function soak(): Promise<number> {
  const schedules = wholeNumber('schedules');
  const first = wholeNumber('seed');
  const results: Result[] = [];
  let next = first;
  const began = performance.now();
  const player = async (): Promise<void> => {
    const providers = await startProviders(next);
    for (let seed = next++; seed < first + schedules; seed = next++) {
      const result = await runScenario(scenarioOf(seed), providers);
      results.push(result);
      for (const what of [...result.violations, ...result.failures]) process.stderr.write(`${what}\n`);
      if (!values.json && results.length % 25 === 0) tell(summaryOf(results));
    }
    await providers.stop();
  };
  const tell = (summary: Summary): void => {
    const seconds = ((performance.now() - began) / 1000).toFixed(0).padStart(5);
    process.stdout.write(`${seconds} s  ${summary.line}\n`);
  };
  await Promise.all(Array.from({ length: wholeNumber('at-once') }, player));
  const summary = summaryOf(results);
  process.stdout.write(`${JSON.stringify({ ...summary, line: undefined }, null, 2)}\n`);
  if (!values.json) tell(summary);
  return summary.passed ? 0 : 1;
}

function wholeNumber(name: 'schedules' | 'seed' | 'at-once'): number {
  const number = Number(values[name]);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new RangeError(`--${name} takes a whole number from 1`);
  return number;
}
