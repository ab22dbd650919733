import { describe, expect, it } from 'vitest';
import { type DryRunDependencies, dryRun, type ImaginedCall, type Way } from './dry-run.ts';
import type { Provider, Route, Strategy, TierPlan } from './resolution.ts';
import { createRoutingSnapshot } from './routing-snapshot.ts';
import { targetsInOrder } from './target-order.ts';

const acme = 'tenant-acme';
const provider = (name: string, more: Partial<Provider> = {}): Provider => ({
  id: name,
  tenantId: null,
  name,
  kind: 'openai',
  baseUrl: 'http://10.0.0.1/v1',
  keys: [],
  keyProblem: null,
  settings: {},
  localAddressesAllowed: true,
  source: 'stored',
  createdAt: new Date(0),
  ...more,
});
const tier = (...targets: string[]): TierPlan => ({
  targets: targets.map((target) => {
    const [to = '', model = '', weight = '1'] = target.split('/');
    return { provider: to, model, weight: Number(weight) };
  }),
});
const route = (tiers: TierPlan[], more: Partial<Route> = {}): Route => ({
  id: 'r',
  tenantId: null,
  name: 'fast',
  strategy: 'weighted',
  cache: { mode: 'off' },
  tiers,
  createdAt: new Date(0),
  updatedAt: new Date(0),
  ...more,
});
const wellStatus = { state: 'closed', openUntil: null, consecutiveFailures: 0, lastFailure: null } as const;
const about = (
  routes: Route[],
  more: Partial<DryRunDependencies> = {},
  providers: Provider[] = [provider('a'), provider('b')],
): DryRunDependencies => ({
  snapshot: createRoutingSnapshot(providers, routes),
  knowledge: { latencyMs: () => null, estimate: () => null },
  health: { admits: () => true, status: () => wellStatus },
  wayTo: () => 'passed_through',
  ...more,
});
const call = (more: Partial<ImaginedCall> = {}): ImaginedCall => ({
  tenantId: acme,
  model: 'fast',
  dialect: 'openai-chat',
  inputTokens: 1_000,
  maxOutputTokens: 100,
  session: 's',
  prefer: undefined,
  ...more,
});
const names = (run: ReturnType<typeof dryRun>) =>
  run.targets.map(({ target }) => `${target.tier}:${target.provider.name}/${target.model}`);

describe('a dry run', () => {
  it('says whose route it is, and what of it is left out', () => {
    const platform = dryRun(call(), about([route([tier('a/m', 'gone/x')])]));
    expect(platform.reasons[0]).toContain('of the platform');
    expect(platform.reasons).toContainEqual('gone/x is left out: there is no provider "gone".');
    expect(platform.chosen?.decidedBy).toEqual({ number: 'only_target', value: null });
    const own = dryRun(call(), about([route([tier('a/m')], { tenantId: acme }), route([tier('b/m')])]));
    expect(own.reasons[0]).toContain('of the tenant');
    expect(names(own)).toEqual(['primary:a/m']);
    const direct = dryRun(call({ model: 'b/m' }), about([route([tier('a/m')])]));
    expect(direct).toMatchObject({ route: null, chosen: { target: { model: 'm' } } });
    expect(direct.reasons[0]).toContain('names a provider');
  });

  it('shows the number that decides, for each strategy', () => {
    const tiers = [tier('a/x/1', 'b/y/3')];
    const knowledge: DryRunDependencies['knowledge'] = {
      latencyMs: ({ model }) => (model === 'x' ? 80 : 120),
      estimate: ({ model }, { inputTokens, outputTokens }) =>
        model === 'x' ? BigInt(inputTokens + outputTokens) * 1_000_000n : null,
    };
    const run = (strategy: Strategy) => {
      const { targets } = dryRun(call(), about([route(tiers, { strategy })], { knowledge }));
      return targets.map(({ target, decidedBy }) => [target.model, decidedBy.number, decidedBy.value]);
    };
    expect(run('priority')).toEqual([
      ['x', 'position', '1'],
      ['y', 'position', '2'],
    ]);
    expect(run('weighted')).toEqual([
      ['y', 'share', '0.7500'],
      ['x', 'share', '0.2500'],
    ]);
    expect(run('least_latency')).toEqual([
      ['x', 'latency_ms', '80.0'],
      ['y', 'latency_ms', '120.0'],
    ]);
    expect(run('lowest_cost')).toEqual([
      ['x', 'cost_usd', '1.100000000'],
      ['y', 'cost_usd', null],
    ]);
    const sticky = run('sticky');
    expect(Number(sticky[0]?.[2])).toBeLessThan(Number(sticky[1]?.[2]));
  });

  it('is what a call of that session does, where nothing is left to chance', () => {
    const tiers = [tier('a/x/1', 'b/y/3'), tier('a/z')];
    for (const strategy of ['priority', 'sticky', 'lowest_cost'] as const) {
      for (const session of ['one', 'two', 'three', 'four']) {
        const knowledge: DryRunDependencies['knowledge'] = {
          latencyMs: () => null,
          estimate: ({ model }) => (model === 'x' ? 2n : 1n),
        };
        const deps = about([route(tiers, { strategy })], { knowledge });
        const run = dryRun(call({ session }), deps);
        const facts = { tenantId: acme, session: () => session, usage: () => expect.anything() as never };
        const resolution = deps.snapshot.resolve(acme, 'fast');
        if (!resolution) expect.unreachable();
        const order = targetsInOrder(resolution, facts, knowledge, () => 0.5);
        expect(run.targets.map(({ target }) => target)).toEqual(order);
      }
    }
  });

  it('begins with the tier that is preferred, and says when there is none', () => {
    const tiers = [tier('a/x'), tier('b/y'), tier('a/z')];
    const three = dryRun(call({ prefer: 'economical' }), about([route(tiers)]));
    expect(names(three)).toEqual(['economical:a/z', 'primary:a/x', 'secondary:b/y']);
    expect(three.reasons).toContainEqual('The economical tier comes first because it is preferred.');
    const two = dryRun(call({ prefer: 'economical' }), about([route(tiers.slice(0, 2))]));
    expect(two.reasons).toContainEqual('There is no economical tier, so the order is the usual one.');
  });

  it('says in words why a target would be skipped, and chooses the first that would not', () => {
    const openUntil = new Date('2026-11-21T05:00:00Z');
    const lastFailure = { at: openUntil, reason: 'answered 503' };
    const providers = ['sealed', 'foreign', 'broken', 'full', 'probed', 'well'].map((name) =>
      provider(name, name === 'sealed' ? { keyProblem: 'another master key' } : {}),
    );
    const tiers = [tier(...providers.map(({ name }) => `${name}/m`))];
    const deps = about(
      [route(tiers, { strategy: 'priority' })],
      {
        wayTo: (target): Way => (target.provider.name === 'foreign' ? 'not_possible' : 'translated'),
        health: {
          admits: ({ provider: { name } }) => name === 'well',
          status: ({ provider: { name } }) => {
            if (name === 'broken') return { state: 'open', openUntil, consecutiveFailures: 5, lastFailure };
            return name === 'probed' ? { ...wellStatus, state: 'half_open' } : wellStatus;
          },
        },
      },
      providers,
    );
    const run = dryRun(call({ dialect: 'openai-responses' }), deps);
    expect(run.targets.map(({ skipped }) => skipped)).toEqual([
      'Its keys cannot be used: another master key',
      'A provider of the kind "openai" cannot be asked what openai-responses asks.',
      'Its breaker is open until 2026-11-21T05:00:00.000Z, after 5 failures in a row, the last one: answered 503.',
      'As many calls to "full" are in flight from this instance as it may have.',
      'Its breaker is half open: one call is trying out whether it is well again.',
      null,
    ]);
    expect(run.chosen?.target.provider.name).toBe('well');
    expect(run.reasons.at(-1)).toContain('well/m of the primary tier');
  });

  it('says what follows the last target, and what there is not', () => {
    const off = dryRun(call(), about([route([tier('a/m')])]));
    expect(off.afterwards.map((step) => step.tier)).toEqual(['cached', 'search_results']);
    expect(off.afterwards[0]?.explanation).toContain('keeps no answers');
    const kept = dryRun(call(), about([route([tier('a/m')], { cache: { mode: 'exact' } })]));
    expect(kept.afterwards[0]?.explanation).toContain('one past its time');
    expect(dryRun(call({ model: 'fats' }), about([route([tier('a/m')])]))).toMatchObject({
      resolution: null,
      targets: [],
      chosen: null,
    });
    const gone = dryRun(call(), about([route([tier('gone/m')])]));
    expect(gone.reasons.at(-1)).toBe('No target would be tried now.');
  });
});
