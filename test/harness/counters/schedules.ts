import fc from 'fast-check';
import type { Demand } from '../../../src/limits/index.ts';

/**
 * What may happen to counters, in random order. Processes, groups, counters and reservations are drawn by number and
 * taken modulo how many there are.
 */
export type Step =
  | {
      readonly do: 'admit';
      readonly process: number;
      readonly group: number;
      readonly demands: readonly Demand[];
    }
  | { readonly do: 'settle'; readonly reservation: number; readonly share: number }
  | { readonly do: 'settle again'; readonly reservation: number; readonly share: number }
  | {
      readonly do: 'peek';
      readonly process: number;
      readonly group: number;
      readonly demands: readonly Demand[];
    }
  /** Every living process tells the others what it spent. */
  | { readonly do: 'establish'; readonly group: number; readonly counter: number }
  /** One process does; where others live that have not, the counter is still unknown. */
  | {
      readonly do: 'establish alone';
      readonly process: number;
      readonly group: number;
      readonly counter: number;
    }
  | { readonly do: 'advance'; readonly ms: number }
  /** The clock is set, while no time goes by. */
  | { readonly do: 'set clock'; readonly byMs: number }
  /** A process is killed, and another takes its place. */
  | { readonly do: 'kill'; readonly process: number }
  /** Rows of the processes that died are in the ledger. */
  | { readonly do: 'forget doubt'; readonly group: number }
  /** The shared memory of the counters is lost. */
  | { readonly do: 'lose' };

/**
 * `steady`: the clock only goes forward, and figures of a counter never change, so that forgetting idle counters changes
 * nothing; hours and days go by. `unruly`: clocks are set and figures changed; in all less than an hour goes by.
 */
export type World = 'steady' | 'unruly';

export interface Schedule {
  readonly world: World;
  readonly startMs: number;
  readonly steps: readonly Step[];
}

export const budgetCounters = ['budget:a:1', 'budget:b:1', 'budget:huge:1'];
const farAhead = 4_000_000_000_000;
const minute = 60_000;
const hour = 3_600_000;
const day = 86_400_000;

/** A counter's figures, as they are most of the time and as they may become. */
const figures: Record<string, readonly [Demand, ...Demand[]]> = {
  slow: [rate('slow', 500, 3), rate('slow', 2_000, 5), rate('slow', 100, 1)],
  quick: [rate('quick', 20_000, 40), rate('quick', 1_000_000_000, 1_000_000)],
  crawl: [rate('crawl', 1, 1_000_000), rate('crawl', 3, 7)],
  second: [window('second', 1_000, 5, false), window('second', 1_000, 2, false)],
  minute: [window('minute', minute, 10, false), window('minute', minute, 1_000_000_000, false)],
  hour: [window('hour', hour, 7, false), window('hour', hour, 100_000_000_000, false)],
  tokens: [window('tokens', day, 1_000, true), window('tokens', day, 100_000_000_000, true)],
  burstOfTokens: [window('burstOfTokens', minute, 997, true), window('burstOfTokens', minute, 0, true)],
  atOnce: [atOnce('atOnce', 3), atOnce('atOnce', 1), atOnce('atOnce', 0)],
  more: [atOnce('more', 8)],
  'budget:a:1': [budget('budget:a:1', 1_000), budget('budget:a:1', 400)],
  'budget:b:1': [budget('budget:b:1', 5_000)],
  'budget:huge:1': [budget('budget:huge:1', 9_000_000_000_000_000)],
};

/** Schedules of at most `length` steps. @param shared what several processes can meet, and a memory that they can lose. */
export function schedules(length: number, { shared }: { readonly shared: boolean }): fc.Arbitrary<Schedule> {
  const world = fc.constantFrom<World>('steady', 'unruly');
  // A few counters in each schedule, so that they are met often.
  const cast = fc.uniqueArray(fc.constantFrom(...Object.keys(figures)), { minLength: 1, maxLength: 5 });
  return fc.tuple(world, cast).chain(([world, cast]) =>
    fc.record({
      world: fc.constant(world),
      startMs: fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }),
      steps: fc.array(stepsOf(world, cast, shared), { minLength: 1, maxLength: length, size: 'max' }),
    }),
  );
}

function stepsOf(world: World, cast: readonly string[], shared: boolean): fc.Arbitrary<Step> {
  const some = fc.nat({ max: 30 });
  const group = fc.constantFrom(0, 0, 0, 1);
  const share = fc.constantFrom(0, 0.1, 0.5, 1, 1, 1.5, 3);
  const demands = demandsOf(world, cast);
  const set = fc.oneof(
    fc.integer({ min: -3_000, max: 3_000 }),
    fc.integer({ min: -2 * hour, max: 2 * hour }),
    fc.integer({ min: -3 * day, max: 3 * day }),
  );
  const steady: fc.WeightedArbitrary<Step>[] = [
    {
      weight: 12,
      arbitrary: fc.record({ do: fc.constant('admit' as const), process: some, group, demands }),
    },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('settle' as const), reservation: some, share }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('settle again' as const), reservation: some, share }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('peek' as const), process: some, group, demands }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('establish' as const), group, counter: some }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('establish alone' as const),
        process: some,
        group,
        counter: some,
      }),
    },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: waits(world) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), process: some }) },
  ];
  const ofShared: fc.WeightedArbitrary<Step>[] = [
    { weight: 1, arbitrary: fc.record({ do: fc.constant('forget doubt' as const), group }) },
    { weight: 1, arbitrary: fc.constant({ do: 'lose' as const }) },
  ];
  const ofUnruly: fc.WeightedArbitrary<Step>[] = [
    { weight: 3, arbitrary: fc.record({ do: fc.constant('set clock' as const), byMs: set }) },
  ];
  return fc.oneof(...steady, ...(shared ? ofShared : []), ...(world === 'unruly' ? ofUnruly : []));
}

/** At most `length` of these make less than an hour in the unruly world: 200 steps of 15 seconds. */
function waits(world: World): fc.Arbitrary<number> {
  const short = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 15_000 }));
  if (world === 'unruly') return short;
  return fc.oneof(short, fc.integer({ min: 0, max: 3 * minute }), fc.integer({ min: 0, max: 2 * day }));
}

function demandsOf(world: World, cast: readonly string[]): fc.Arbitrary<readonly Demand[]> {
  const one = (name: string): fc.Arbitrary<Demand> => {
    const [usual, ...others] = figures[name] as readonly [Demand, ...Demand[]];
    const chosen = world === 'steady' ? [usual] : [usual, usual, usual, ...others];
    return fc.constantFrom(...chosen).chain(withAmount);
  };
  return fc.subarray([...cast], { minLength: 1 }).chain((names) => fc.tuple(...names.map(one)));
}

function withAmount(demand: Demand): fc.Arbitrary<Demand> {
  if (demand.kind === 'concurrent') return fc.constant(demand);
  const limit = demand.kind === 'rate' ? demand.burst : demand.limit;
  const amounts = fc.oneof(
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 0, max: Math.ceil(limit / 3) }),
    fc.integer({ min: 0, max: limit + 1 }),
  );
  return amounts.map((amount) => ({ ...demand, amount }));
}

function rate(counter: string, milliPerSecond: number, burst: number): Demand {
  return { kind: 'rate', counter, milliPerSecond, burst, amount: 1 };
}
function window(counter: string, windowMs: number, limit: number, reserved: boolean): Demand {
  return { kind: 'window', counter, windowMs, limit, amount: 1, reserved };
}
function atOnce(counter: string, limit: number): Demand {
  return { kind: 'concurrent', counter, limit };
}
function budget(counter: string, limit: number): Demand {
  return { kind: 'budget', counter, limit, amount: 1, endsAtMs: farAhead };
}
export const budgetsEndAtMs = farAhead;
