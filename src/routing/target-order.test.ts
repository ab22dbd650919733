import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noUsage } from '../costs/index.ts';
import type { Provider, Resolution, Strategy, Target } from './resolution.ts';
import {
  type CallFacts,
  onlyTarget,
  slowerShare,
  type TargetKnowledge,
  targetsInOrder,
  unknownShare,
} from './target-order.ts';

const provider: Provider = {
  id: 'p',
  tenantId: null,
  name: 'p',
  kind: 'openai',
  baseUrl: 'http://10.0.0.1/v1',
  keys: [],
  keyProblem: null,
  settings: {},
  localAddressesAllowed: true,
  source: 'stored',
  createdAt: new Date(0),
};
const target = (model: string, weight = 1, tier = 'primary'): Target => ({ tier, model, weight, provider });
const resolution = (strategy: Strategy, ...tiers: Target[][]): Resolution => ({
  route: 'r',
  strategy,
  cache: { mode: 'off' },
  version: '',
  tiers,
});
const facts = (more: Partial<CallFacts> = {}): CallFacts => ({
  tenantId: 't',
  session: () => 's',
  usage: () => noUsage,
  ...more,
});
const unknown: TargetKnowledge = { latencyMs: () => null, estimate: () => null };
const latencies = (of: Record<string, number>): TargetKnowledge => ({
  ...unknown,
  latencyMs: ({ model }) => of[model] ?? null,
});
const costs = (of: Record<string, bigint>): TargetKnowledge => ({
  ...unknown,
  estimate: ({ model }) => of[model] ?? null,
});
const models = (targets: readonly Target[]) => targets.map(({ model }) => model).join(' ');
/** Each fraction in turn, again and again. */
const drawn = (...fractions: number[]) => {
  let at = 0;
  return () => fractions[at++ % fractions.length] ?? 0;
};
/** Every thousandth of the range once: shares are exact, not a matter of luck. */
const firstTurns = (of: Resolution, knowledge: TargetKnowledge, after: readonly number[] = []) => {
  const turns: Record<string, number> = {};
  for (let n = 0; n < 1_000; n++) {
    const [first] = targetsInOrder(of, facts(), knowledge, drawn(...after, n / 1_000));
    turns[first?.model ?? ''] = (turns[first?.model ?? ''] ?? 0) + 1;
  }
  return turns;
};

const anyStrategy = fc.constantFrom<Strategy>(
  'priority',
  'weighted',
  'least_latency',
  'lowest_cost',
  'sticky',
);
const anyTiers = fc.array(fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 5 }), {
  minLength: 1,
  maxLength: 4,
});
const anyDraws = fc.infiniteStream(fc.double({ min: 0, max: 0.9999999, noNaN: true }));

describe('the order of targets', () => {
  it('has each target once, tier by tier, whatever the strategy', () => {
    fc.assert(
      fc.property(anyTiers, anyStrategy, anyDraws, (given, strategy, draws) => {
        const tiers = given.map((tier, t) => tier.map((weight, n) => target(`${t}-${n}`, weight, String(t))));
        const knowledge: TargetKnowledge = {
          latencyMs: ({ weight }) => (weight % 3 === 0 ? null : weight),
          estimate: ({ weight }) => (weight % 4 === 0 ? null : BigInt(weight)),
        };
        const of = resolution(strategy, ...tiers);
        const order = targetsInOrder(of, facts(), knowledge, () => draws.next().value);
        expect(order.map(({ tier }) => tier)).toEqual(tiers.flat().map(({ tier }) => tier));
        expect(new Set(order)).toEqual(new Set(tiers.flat()));
      }),
    );
  });

  it('is the very list of the route when there is but one target', () => {
    const tier = [target('only')];
    for (const strategy of ['weighted', 'sticky', 'lowest_cost'] as const) {
      const of = resolution(strategy, tier);
      const neverAsked = facts({ session: () => expect.unreachable(), usage: () => expect.unreachable() });
      expect(targetsInOrder(of, neverAsked, unknown, () => expect.unreachable())).toBe(tier);
      expect(onlyTarget(of)).toBe(tier);
    }
    expect(onlyTarget(resolution('weighted', tier, [target('spare', 1, 'secondary')]))).toBeNull();
  });

  it('begins with the economical tier when that is preferred, and goes on with the others in their order', () => {
    const tiers = [
      [target('a')],
      [target('b', 1, 'secondary')],
      [target('c', 1, 'economical')],
      [target('d', 1, 'tier_4')],
    ];
    const prefer = facts({ prefer: 'economical' });
    const order = (of: Resolution, by: CallFacts) => models(targetsInOrder(of, by, unknown, drawn(0)));
    expect(order(resolution('weighted', ...tiers), prefer)).toBe('c a b d');
    expect(order(resolution('weighted', ...tiers), facts())).toBe('a b c d');
    // One whose providers are gone is not there at all.
    expect(order(resolution('weighted', ...tiers.slice(0, 2)), prefer)).toBe('a b');
  });
});

describe('weighted', () => {
  it('gives each target of a tier its share of first turns', () => {
    const of = resolution('weighted', [target('a', 1), target('b', 3), target('c', 6)]);
    expect(firstTurns(of, unknown)).toEqual({ a: 100, b: 300, c: 600 });
  });
});

describe('priority', () => {
  it('takes the targets as they are listed', () => {
    const of = resolution('priority', [target('a', 1), target('b', 3), target('c', 6)]);
    expect(firstTurns(of, unknown)).toEqual({ a: 1_000 });
  });
});

describe('lowest cost', () => {
  const of = resolution('lowest_cost', [
    target('dear'),
    target('unpriced'),
    target('cheap'),
    target('cheapest'),
  ]);

  it('takes the cheapest first and the unpriced last', () => {
    fc.assert(
      fc.property(anyDraws, (draws) => {
        const knowledge = costs({ dear: 900n, cheap: 20n, cheapest: 19n });
        expect(models(targetsInOrder(of, facts(), knowledge, () => draws.next().value))).toBe(
          'cheapest cheap dear unpriced',
        );
      }),
    );
  });

  it('asks for the price of this call', () => {
    const usage = { ...noUsage, inputTokens: 1_000, outputTokens: 50 };
    const asked: unknown[] = [];
    const estimate = (_: Target, tokens: unknown) => {
      asked.push(tokens);
      return null;
    };
    const knowledge = { ...unknown, estimate };
    targetsInOrder(of, facts({ usage: () => usage }), knowledge, drawn(0));
    expect(asked).toEqual([usage, usage, usage, usage]);
  });

  it('lets weights decide between equals', () => {
    const tied = resolution('lowest_cost', [target('a', 1), target('b', 3), target('dear', 6)]);
    const turns = firstTurns(tied, costs({ a: 5n, b: 5n, dear: 6n }), []);
    expect(turns.dear).toBeUndefined();
    expect(turns.b).toBeGreaterThan(turns.a ?? 0);
  });
});

describe('least latency', () => {
  const of = resolution('least_latency', [target('slow'), target('new'), target('fast')]);

  it('takes the fastest first and those that nobody knows last', () => {
    expect(models(targetsInOrder(of, facts(), latencies({ slow: 900, fast: 80 }), drawn(0.5)))).toBe(
      'fast slow new',
    );
  });

  it('tries one that nobody knows first, in a bounded share of the calls', () => {
    const turns = firstTurns(of, latencies({ slow: 900, fast: 80 }), [0, 0]);
    expect(turns).toEqual({ new: unknownShare * 1_000, fast: 1_000 - unknownShare * 1_000 });
  });

  it('tries a slower one first, in a smaller share, because it may have got faster', () => {
    const turns = firstTurns(of, latencies({ slow: 900, fast: 80, new: 1_000 }), [0, 0]);
    expect(turns.fast).toBe(1_000 - slowerShare * 1_000);
  });

  it('goes by weights while nobody knows any', () => {
    const weighed = resolution('least_latency', [target('a', 1), target('b', 3), target('c', 6)]);
    expect(firstTurns(weighed, unknown)).toEqual({ a: 100, b: 300, c: 600 });
  });

  it('never passes over the fastest more often than it says', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.integer({ min: 1, max: 5_000 })), { minLength: 2, maxLength: 6 }),
        fc.double({ min: 0, max: 0.9999999, noNaN: true }),
        (given, draw) => {
          const tier = given.map((_, index) => target(String(index)));
          const knowledge = { ...unknown, latencyMs: ({ model }: Target) => given[Number(model)] ?? null };
          const fastest = Math.min(...given.flatMap((ms) => ms ?? []));
          const [first, second] = targetsInOrder(
            resolution('least_latency', tier),
            facts(),
            knowledge,
            () => draw,
          );
          const latency = (of: Target | undefined) => (of ? knowledge.latencyMs(of) : null);
          const explores = draw < (given.includes(null) ? unknownShare : slowerShare);
          if (Number.isFinite(fastest)) expect(latency(explores ? second : first)).toBe(fastest);
        },
      ),
    );
  });
});

describe('sticky', () => {
  const first = (tier: Target[], session: string, tenantId = 't') =>
    targetsInOrder(resolution('sticky', tier), facts({ tenantId, session: () => session }), unknown, () =>
      expect.unreachable(),
    )[0]?.model;
  const sessions = Array.from({ length: 2_000 }, (_, n) => `session ${n}`);
  const anyTier = fc
    .uniqueArray(fc.tuple(fc.string({ minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 5 })), {
      minLength: 2,
      maxLength: 6,
      selector: ([model]) => model,
    })
    .map((given) => given.map(([model, weight]) => target(model, weight)));

  it('keeps a session where it is, in whatever order the targets are listed', () => {
    fc.assert(
      fc.property(anyTier, fc.string(), (tier, session) => {
        expect(first([...tier].reverse(), session)).toBe(first(tier, session));
      }),
    );
  });

  it('moves only the sessions of a target that goes, and to a target that comes only those that it wins', () => {
    fc.assert(
      fc.property(anyTier, fc.nat(5), (tier, gone) => {
        const left = tier.filter((_, index) => index !== gone % tier.length);
        for (const session of sessions.slice(0, 50)) {
          const [with_, without] = [first(tier, session), first(left, session)];
          if (with_ !== tier[gone % tier.length]?.model) expect(without).toBe(with_);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('spreads sessions by weight, so that about 1/n move when one of n equals goes', () => {
    const shares = (tier: Target[]) =>
      sessions.reduce<Record<string, number>>((sums, session) => {
        const model = first(tier, session) ?? '';
        sums[model] = (sums[model] ?? 0) + 1 / sessions.length;
        return sums;
      }, {});
    // 2,000 fixed sessions: the figures are the same on every run; 0.04 is four standard deviations.
    const equal = shares([target('a'), target('b'), target('c'), target('d')]);
    for (const model of ['a', 'b', 'c', 'd']) expect(Math.abs((equal[model] ?? 0) - 0.25)).toBeLessThan(0.04);
    const weighed = shares([target('a', 1), target('b', 3)]);
    expect(Math.abs((weighed.b ?? 0) - 0.75)).toBeLessThan(0.04);
  });

  it('tells the sessions of two tenants apart', () => {
    const tier = [target('a'), target('b')];
    const moved = sessions.filter((session) => first(tier, session, 't') !== first(tier, session, 'u'));
    expect(moved.length).toBeGreaterThan(sessions.length / 3);
  });

  it('falls to the same next target each time', () => {
    const tier = [target('a'), target('b'), target('c')];
    for (const session of sessions.slice(0, 100)) {
      const order = targetsInOrder(
        resolution('sticky', tier),
        facts({ session: () => session }),
        unknown,
        drawn(0),
      );
      const rest = tier.filter((one) => one !== order[0]);
      expect(first(rest, session)).toBe(order[1]?.model);
    }
  });
});
