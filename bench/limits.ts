/**
 * What limits cost, and what they do while Redis is away: `npm run bench:limits [-- --seconds 10]`.
 *
 * Two instances' counters on one real Redis, which is killed, frozen (it takes connections and never answers) and flaps,
 * under five times the load that the limit allows. Prints figures; fails nothing by time. Redis, both instances and the
 * load share this machine.
 */
import { parseArgs } from 'node:util';
import { createMemoryCounters } from '../src/limits/counters/memory-counters.ts';
import type { Counters, Decision, Demand } from '../src/limits/index.ts';
import { systemClock } from '../src/platform/clock.ts';
import { redisIsInstalled, redisMissing, startRedis } from '../test/harness/redis.ts';
import { type CountersInstance, startCounters } from '../test/harness/redis-counters.ts';
import { pause } from './until.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '10' } } });
const outageMs = 1_000 * Number(values.seconds);
const day = 86_400_000;

if (!redisIsInstalled) {
  console.error(redisMissing);
  process.exit(1);
}

/** What a model call of a tenant with all limits asks for. */
const ofCall: readonly Demand[] = [
  window('ip/minute', 60_000),
  window('user/minute', 60_000),
  window('key/minute', 60_000),
  window('key/day', day),
  { kind: 'rate', counter: 'queries/second', milliPerSecond: 1e9, burst: 1e6, amount: 1 },
  window('queries/day', day),
  { kind: 'concurrent', counter: 'at once', limit: 1e6 },
  { ...window('tokens/day', day), amount: 500, reserved: true },
];
const used = new Map([['tokens/day', 300]]);

function window(counter: string, windowMs: number): Demand & { kind: 'window' } {
  return { kind: 'window', counter, windowMs, limit: 1e9, amount: 1, reserved: false };
}

const server = await startRedis();
await costInProcess();
await costOverRedis();
await outages();
await server.stop();

async function costInProcess(): Promise<void> {
  const counters = createMemoryCounters({ clock: systemClock, writer: 'bench' });
  const figures = await admissions(counters, 200_000, 1);
  console.log(`in process, ${ofCall.length} demands and a settlement: ${figures}`);
}

async function costOverRedis(): Promise<void> {
  const one = await startCounters(server.url, 'bench');
  for (const [calls, atOnce] of [
    [5_000, 1],
    [20_000, 16],
    [40_000, 128],
  ] as const) {
    await admissions(one.counters, calls / 10, atOnce);
    console.log(`over Redis, ${atOnce} at once: ${await admissions(one.counters, calls, atOnce)}`);
  }
  await one.stop();
}

/** Admits and settles so many calls, in the groups of 50 tenants. */
async function admissions(counters: Counters, calls: number, atOnce: number): Promise<string> {
  let next = 0;
  const times: number[] = [];
  const worker = async () => {
    for (let n = next++; n < calls; n = next++) {
      const [group, id] = [`tenant-${n % 50}`, `call-${atOnce}-${calls}-${n}`];
      const begun = performance.now();
      const decided = counters.admit({ group, id, demands: ofCall });
      const decision = decided instanceof Promise ? await decided : decided;
      times.push(performance.now() - begun);
      if (decision.outcome !== 'admitted') throw new Error(`It was ${decision.outcome}.`);
      counters.settle(group, id, used);
    }
  };
  const cpu = process.cpuUsage();
  const begun = performance.now();
  await Promise.all(Array.from({ length: atOnce }, worker));
  const seconds = (performance.now() - begun) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return [
    `${(calls / seconds).toFixed(0)} a second`,
    `${((user + system) / calls).toFixed(1)} us CPU each`,
    `p50 ${at(times, 0.5)} ms`,
    `p99 ${at(times, 0.99)} ms`,
  ].join(', ');
}

/** One phase's load: what was admitted, and how long decisions took. */
interface Phase {
  readonly name: string;
  readonly times: number[];
  asked: number;
  admitted: number;
  failed: number;
}

async function outages(): Promise<void> {
  const options = { timeoutMs: 50, instances: () => 2 };
  const both = [
    await startCounters(server.url, 'one', options),
    await startCounters(server.url, 'two', options),
  ] as const;
  const perSecond = 200;
  const limit: Demand[] = [
    {
      kind: 'rate',
      counter: 'queries/second',
      milliPerSecond: 1_000 * perSecond,
      burst: perSecond,
      amount: 1,
    },
    { ...window('queries/day', day), limit: 1e6 },
    { kind: 'concurrent', counter: 'at once', limit: 100 },
  ];
  const money = createMoney(both);
  let phase = newPhase('healthy');
  let going = true;
  let calls = 0;

  const call = async ({ counters }: CountersInstance) => {
    const current = phase;
    const id = `call-${++calls}`;
    const begun = performance.now();
    current.asked++;
    const decision: Decision | null = await counters
      .admit({ group: 'tenant', id, demands: limit })
      .catch(() => null);
    current.times.push(performance.now() - begun);
    if (decision === null) current.failed++;
    if (decision?.outcome !== 'admitted') return;
    current.admitted++;
    await pause(20);
    counters.settle('tenant', id, new Map());
  };
  /** Five times what is allowed, whatever becomes of it. */
  const load = async () => {
    let sent = 0;
    const begun = performance.now();
    while (going) {
      const due = Math.floor(((performance.now() - begun) / 1_000) * perSecond * 5);
      for (; sent < due; sent++) void call(both[sent % 2] as CountersInstance);
      await pause(5);
    }
  };
  const loading = [load(), money.load(() => going)];

  const phases: string[] = [];
  const during = async (name: string, work: () => Promise<void>): Promise<void> => {
    phase = newPhase(name);
    const begun = performance.now();
    await work();
    const seconds = (performance.now() - begun) / 1_000;
    const over = 100 * (phase.admitted / (perSecond * seconds + perSecond) - 1);
    phases.push(
      `${name.padEnd(18)} ${seconds.toFixed(1)} s, admitted ${phase.admitted} of ${phase.asked}, ` +
        `over the limit ${Math.max(0, over).toFixed(1)} %, p50 ${at(phase.times, 0.5)} ms, p99 ${at(phase.times, 0.99)} ms, ` +
        `longest ${at(phase.times, 1)} ms, failed ${phase.failed}`,
    );
  };
  const back = async (what: string, begun: number): Promise<void> => {
    while (!both.every(({ counters }) => counters.shared)) await pause(2);
    // Both see the same, so they count together.
    for (;;) {
      const look = () =>
        Promise.all(both.map(({ counters }) => counters.peek('tenant', [limit[1] as Demand])));
      const [[one] = [], [two] = []] = await look();
      if (one && two && Math.abs(one.remaining - two.remaining) <= 5) break;
    }
    phases.push(`  counted together ${(performance.now() - begun).toFixed(0)} ms after ${what}`);
  };

  await pause(1_500);
  await during('healthy', () => pause(outageMs));
  await during('killed', async () => {
    await server.kill();
    await pause(outageMs);
  });
  await server.startAgain();
  await back('it started again, empty', performance.now());
  await during('healthy again', () => pause(outageMs));
  await during('silent', async () => {
    server.freeze();
    await pause(outageMs);
  });
  server.thaw();
  await back('it spoke again', performance.now());
  await during('flapping', async () => {
    const until = performance.now() + outageMs;
    for (let n = 0; performance.now() < until; n++) {
      if (n % 2 === 0) await server.kill();
      else server.freeze();
      await pause(700);
      if (n % 2 === 0) await server.startAgain();
      else server.thaw();
      await pause(700);
    }
  });
  await back('the last flap', performance.now());
  await during('healthy at last', () => pause(outageMs));
  going = false;
  await Promise.all(loading);
  console.log(`\n${5 * perSecond} calls a second where ${perSecond} are allowed, by 2 instances:`);
  for (const line of phases) console.log(line);
  console.log(money.report());
  for (const { stop } of both) await stop();
}

/** Calls that each cost something, against a hard budget that is spent to the end. */
function createMoney(both: readonly [CountersInstance, CountersInstance]) {
  const counter = 'budget:b:1';
  const limit = 1_000_000_000;
  const endsAtMs = Date.now() + 30 * day;
  const spent = [0, 0];
  let refusedAway = 0;
  let calls = 0;
  const call = async (n: number): Promise<void> => {
    const { counters } = both[n] as CountersInstance;
    const id = `paid-${++calls}`;
    const amount = 100_000 + ((calls * 7_919) % 400_000);
    const demand: Demand = { kind: 'budget', counter, limit, amount, endsAtMs };
    const decision = await counters.admit({ group: 'payer', id, demands: [demand] }).catch(() => {
      refusedAway++;
      return null;
    });
    if (decision?.outcome === 'unknown') {
      const told = { base: 0, own: spent[n] as number, writers: ['one', 'two'], endsAtMs };
      await counters.establish('payer', counter, told).catch(() => {});
    }
    if (decision?.outcome !== 'admitted') return;
    await pause(20);
    const cost = Math.floor(amount * 0.95);
    spent[n] = (spent[n] as number) + cost;
    counters.settle('payer', id, new Map([[counter, cost]]));
  };
  return {
    async load(going: () => boolean): Promise<void> {
      while (going()) {
        for (let n = 0; n < 4; n++) void call(n % 2);
        await pause(10);
      }
    },
    report(): string {
      const total = (spent[0] as number) + (spent[1] as number);
      return (
        `budget: ${(total / 1e9).toFixed(6)} of ${(limit / 1e9).toFixed(2)} dollars spent by ${calls} calls, ` +
        `overrun ${Math.max(0, total - limit)} nano-dollars; ${refusedAway} refused while Redis was away`
      );
    },
  };
}

function newPhase(name: string): Phase {
  return { name, times: [], asked: 0, admitted: 0, failed: 0 };
}

function at(times: number[], share: number): string {
  const sorted = times.toSorted((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(3);
}
