import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLog } from '../../platform/log.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { createTargetHealth, type Provider, type Target, type VisitEnd } from '../../routing/index.ts';
import { AttemptPlan, maxAttempts, maxAttemptsPerTarget } from './attempt-plan.ts';
import { maxBackoffMs } from './backoff.ts';
import { createRetryBudget } from './retry-budget.ts';
import type { Verdict } from './verdict.ts';

const tenant = 'tenant-1';

function targetOf(name: string, keys = 1): Target {
  const provider: Provider = {
    id: name,
    tenantId: null,
    name,
    kind: 'openai',
    baseUrl: 'http://127.0.0.1:1/v1',
    keys: Array.from({ length: keys }, (_, n) => ({ value: `${name}-${n}`, hint: null, weight: 1 })),
    keyProblem: null,
    settings: {},
    localAddressesAllowed: true,
    source: 'stored',
    createdAt: new Date(0),
  };
  return { tier: 'primary', provider, model: 'm', weight: 1 };
}

function house(least: number) {
  let ms = 0;
  const clock = { monotonicMs: () => ms, now: () => new Date(ms) };
  const health = createTargetHealth({
    clock,
    random: { fraction: () => 0.5 },
    log: createLog('silent'),
    metrics: createMetrics(),
  });
  const budget = createRetryBudget({ share: 0.2, least, windowMs: 600_000 }, clock);
  const pauses: number[] = [];
  const planOf = (targets: readonly Target[], patienceMs = 600_000) => {
    const endsMs = ms + patienceMs;
    return new AttemptPlan(
      {
        health,
        budget,
        budgetSpent: () => {},
        fraction: () => 0.5,
        pause: async (pauseMs) => {
          pauses.push(pauseMs);
          ms += pauseMs;
        },
        leftMs: () => endsMs - ms,
      },
      tenant,
      targets,
    );
  };
  return { health, planOf, pauses, pass: (more: number) => (ms += more) };
}

const failed: VisitEnd = { kind: 'failed', reason: 'answered 503' };
const again: Verdict = { next: 'again', health: failed, reason: 'server_error' };
const elsewhere: Verdict = { ...again, next: 'elsewhere' };
const limit = (retryAfterMs: number | null): Verdict => ({
  next: 'other_key',
  health: { kind: 'key_refused', limit: true, reason: 'answered 429', retryAfterMs },
  reason: 'rate_limit',
});
const credential: Verdict = {
  next: 'other_key',
  health: { kind: 'key_refused', limit: false, reason: 'answered 401', retryAfterMs: null },
  reason: 'credential',
};

/** Plays a call whose attempts all come out as `verdictOf` says. @returns where it went. */
async function play(plan: AttemptPlan, verdictOf: (target: Target, key: string | null) => Verdict) {
  const went: string[] = [];
  for (let step = await plan.next(); step; step = await plan.next()) {
    const key = step.visit.key?.value ?? null;
    went.push(key ?? step.target.provider.name);
    const verdict = verdictOf(step.target, key);
    step.visit.end(verdict.health);
    plan.failed(verdict, step.visit.key);
  }
  return went;
}

describe('the way of a call through its targets', () => {
  it('leads to each one without a pause, then around again after one', async () => {
    const { planOf, pauses } = house(50);
    const went = await play(planOf([targetOf('a'), targetOf('b')]), () => again);
    expect(went).toEqual(['a-0', 'b-0', 'a-0', 'b-0', 'a-0', 'b-0']);
    expect(pauses).toEqual([50, 100]);
  });

  it('does not lead back to what would refuse again', async () => {
    const { planOf } = house(50);
    const a = targetOf('a');
    const went = await play(planOf([a, targetOf('b')]), (target) => (target === a ? elsewhere : again));
    expect(went).toEqual(['a-0', 'b-0', 'b-0', 'b-0']);
  });

  it('leads through a provider’s keys before it leaves it', async () => {
    const { planOf } = house(50);
    const refused = await play(planOf([targetOf('a', 2), targetOf('b')]), (target) =>
      target.provider.name === 'a' ? credential : elsewhere,
    );
    expect(refused.slice(0, 2).sort()).toEqual(['a-0', 'a-1']);
    expect(refused.slice(2)).toEqual(['b-0']);
  });

  it('waits as long as the soonest of them asks for, but never beyond half a minute or what the call has left', async () => {
    const soonest = house(50);
    await play(soonest.planOf([targetOf('a'), targetOf('b')]), ({ provider }) =>
      limit(provider.name === 'a' ? 9_000 : 4_000),
    );
    expect(soonest.pauses[0]).toBe(4_000);
    const late = house(50);
    expect(await play(late.planOf([targetOf('a')]), () => limit(maxBackoffMs + 1))).toHaveLength(1);
    const hurried = house(50);
    expect(await play(hurried.planOf([targetOf('a')], 3_000), () => limit(3_000))).toHaveLength(1);
    expect([...late.pauses, ...hurried.pauses]).toEqual([]);
  });

  it('ends where the tenant’s retries do', async () => {
    const { planOf } = house(2);
    expect(await play(planOf([targetOf('a'), targetOf('b')]), () => again)).toHaveLength(3);
    expect(await play(planOf([targetOf('c')]), () => again)).toHaveLength(1);
  });

  it('keeps its bounds, its order and its places whatever happens', async () => {
    const verdict = fc.constantFrom(again, elsewhere, limit(null), limit(2_000), limit(60_000), credential);
    const route = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 20 });
    const calls = fc.array(fc.array(verdict, { minLength: 1 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(route, calls, async (keys, verdicts) => {
        const { health, planOf, pauses, pass } = house(1_000);
        const targets = keys.map((count, n) => targetOf(`t${n}`, count));
        for (const own of verdicts) {
          let nth = 0;
          const went = await play(planOf(targets), () => own[nth++ % own.length] ?? again);
          expect(went.length).toBeLessThanOrEqual(maxAttempts);
          for (const { provider } of targets) {
            const there = went.filter((key) => key.startsWith(`${provider.name}-`));
            expect(there.length).toBeLessThanOrEqual(maxAttemptsPerTarget);
          }
          for (const target of targets) expect(health.inFlight(target)).toBe(0);
          pass(1_000);
        }
        for (const pause of pauses) expect(pause).toBeLessThanOrEqual(maxBackoffMs);
      }),
      { numRuns: 200 },
    );
  });
});
