import { parseArgs } from 'node:util';
import { redisIsInstalled, redisMissing } from '../harness/redis.ts';
import { spendBudget } from './budget.ts';
import { type Findings, type House, openHouse } from './house.ts';
import {
  queriesPerDay,
  queriesPerSecond,
  requestsPerMinute,
  streamsAtATime,
  tokensPerDay,
} from './limits.ts';
import { createOwnDatabase } from './own-database.ts';
import { loseRedis } from './redis-outage.ts';

const usage = `Two whole instances on one PostgreSQL and one Redis, under load, one of them killed in the middle. Checks that
limits admit exactly what they say, that hard budgets are kept, and that the books are what the provider served.

  npm run soak:limits [-- options]         limits of each kind, 200 callers (about 4 minutes)
  npm run soak:budgets [-- options]        a hard budget of one dollar, 500 calls at once, kill -9 in the middle
  npm run soak:redis-outage [-- options]   Redis killed, silent and flapping, each for a minute, at five times the load

  --rounds 1   how often (default 1)
  --seed 1     decides the sizes of calls; further rounds count on from it (default 1)

Prints figures as JSON. Exit code 1 when anything was not as stated.
`;

/** What a soak does in a round, one after the other. */
type Round = (house: House, seed: number) => Record<string, () => Promise<Findings>>;

const soaks: Readonly<Record<string, Round>> = {
  limits: (house) => ({
    requestsPerMinute: () => requestsPerMinute(house, { callers: 200, limit: 600, windows: 3 }),
    queriesPerSecond: () => queriesPerSecond(house, { callers: 200, rate: 50, burst: 100, seconds: 20 }),
    queriesPerDay: () => queriesPerDay(house, { callers: 200, limit: 1_000 }),
    tokensPerDay: () => tokensPerDay(house, { callers: 200, limit: 50_000, each: 400 }),
    streamsAtATime: () => streamsAtATime(house, { callers: 200, limit: 80 }),
  }),
  budgets: (house, seed) => {
    const sizes = { seed, limitUsd: '1', callers: 500, longest: 800 };
    return {
      calm: () => spendBudget(house, { ...sizes, killAtShare: null }),
      killed: () => spendBudget(house, { ...sizes, killAtShare: 0.5 }),
      guessed: () => spendBudget(house, { ...sizes, boundedShare: 0, taught: 50, killAtShare: null }),
    };
  },
  'redis-outage': (house) => {
    const phases = { healthy: 20, killed: 60, frozen: 60, flapping: 60 };
    return { outage: () => loseRedis(house, { ...phases, rate: 20, perMinute: 300, limitUsd: '0.3' }) };
  },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: 'boolean' },
    rounds: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
  },
});

if (values.help) process.stdout.write(usage);
else process.exitCode = await soak();

async function soak(): Promise<number> {
  const round = soaks[positionals[0] ?? ''];
  if (round === undefined) throw new RangeError(`there is no soak '${positionals[0]}':\n${usage}`);
  if (!redisIsInstalled) throw new Error(redisMissing);
  const [rounds, first] = [wholeNumber('rounds'), wholeNumber('seed')];
  let violations = 0;
  const house = await openHouse({ database: await createOwnDatabase() });
  try {
    for (let seed = first; seed < first + rounds; seed++) {
      for (const [name, run] of Object.entries(round(house, seed))) {
        const findings = await run();
        violations += findings.violations.length;
        process.stdout.write(`${JSON.stringify({ seed, name, ...findings }, null, 2)}\n`);
      }
    }
  } finally {
    await house.stop();
  }
  process.stdout.write(`${violations} violations\n`);
  return violations === 0 ? 0 : 1;
}

function wholeNumber(name: 'rounds' | 'seed'): number {
  const number = Number(values[name]);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new RangeError(`--${name} takes a whole number from 1`);
  return number;
}
