import { describe, expect, it } from 'vitest';
import type { Principal, TenantFacts } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import { defaultLimits, type LimitsConfig } from '../platform/limits-settings.ts';
import { createLog } from '../platform/log.ts';
import type { Refused } from './counters/counters.ts';
import { createMemoryCounters } from './counters/memory-counters.ts';
import type { LimitRule } from './limit-rules.ts';
import { createLimits } from './limits.service.ts';
import type { LimitsStore } from './limits.store.ts';

const startMs = Date.UTC(2026, 5, 1, 12);
const facts: TenantFacts = {
  id: 'tenant-1',
  slug: 'acme',
  name: 'Acme',
  tier: 'free',
  region: 'eu',
  status: 'active',
  timeZone: 'UTC',
};

const principalOf = (given: Partial<Principal> = {}): Principal => ({
  tenant: facts,
  tenantId: facts.id,
  keyId: 'key-1',
  userId: null,
  role: 'analyst',
  groups: [],
  permissions: new Set(),
  readerTokens: [],
  actsInNamedTenant: false,
  internal: false,
  ...given,
});

const ruleOf = (given: Pick<LimitRule, 'scope' | 'subject' | 'figures'> & Partial<LimitRule>): LimitRule => ({
  id: `rule-${given.scope}-${given.subject}`,
  tenantId: facts.id,
  expiresAt: null,
  createdBy: 'key:k',
  createdAt: new Date(startMs),
  updatedAt: new Date(startMs),
  ...given,
});

/** The service on rules that are given here instead of read from a database: what it does with them needs none. */
async function limitsWith(rules: LimitRule[] = [], config: LimitsConfig = defaultLimits) {
  const time = { ms: startMs };
  const clock: Pick<Clock, 'now' | 'monotonicMs'> = {
    now: () => new Date(time.ms),
    monotonicMs: () => time.ms,
  };
  const unused = () => {
    throw new Error('not a matter of this test');
  };
  const store: LimitsStore = {
    tiers: async () => new Map(),
    allRules: async () => rules,
    rulesOf: async () => rules,
    changeTier: unused,
    knowsTimeZone: unused,
    rules: unused,
    addRule: unused,
    changeRule: unused,
    deleteRule: unused,
  };
  const limits = createLimits({
    store,
    access: { tenantFor: unused, changeTenant: unused },
    config,
    clock,
    newId: unused,
    log: createLog('silent'),
    subscribe: () => {},
  });
  await limits.start();
  return { limits, gate: limits.gate, time, counters: createMemoryCounters({ clock, writer: 'w' }) };
}

const summary = (demands: readonly object[]) =>
  demands.map((d) => {
    const { kind, counter, limit, burst, amount } = d as Record<string, unknown>;
    return [kind, counter, limit ?? burst, amount];
  });
const asked = (principal: Principal, ip: string | null = null, weight = 1) => ({ principal, ip, weight });

describe('what callers must fit', () => {
  it('is the tier’s requests per user and per key at once', async () => {
    const { gate } = await limitsWith();
    expect(summary(gate.demandsOfRequest(asked(principalOf({ userId: 'user-1' }), null, 10)))).toEqual([
      ['window', 'user:user-1:requests_per_minute', 100, 10],
      ['window', 'user:user-1:requests_per_day', 5_000, 10],
      ['window', 'key:key-1:requests_per_minute', 100, 10],
      ['window', 'key:key-1:requests_per_day', 5_000, 10],
    ]);
  });

  it('is, for a query, besides the tenant’s queries a second, a day and at a time', async () => {
    const { gate } = await limitsWith();
    expect(summary(gate.demandsOfQuery(asked(principalOf()))).slice(2)).toEqual([
      ['rate', 'tenant:queries_per_second', 2, 1],
      ['window', 'tenant:queries_per_day', 1_000, 1],
      ['concurrent', 'tenant:concurrent', 5, undefined],
    ]);
    expect(gate.demandsOfQuery(asked(principalOf()))[2]).toMatchObject({ milliPerSecond: 1_000 });
  });

  it('is the same list for the same caller, and another when something of it runs out', async () => {
    const ends = new Date(startMs + 10);
    const { gate, time } = await limitsWith([
      ruleOf({ scope: 'key', subject: '*', figures: { requests_per_minute: 3 }, expiresAt: ends }),
    ]);
    const principal = principalOf();
    const list = gate.demandsOfRequest(asked(principal));
    expect(list).toHaveLength(3);
    expect(gate.demandsOfRequest(asked(principal))).toBe(list);
    time.ms += 9;
    expect(gate.demandsOfRequest(asked(principal))).toBe(list);
    time.ms += 1;
    expect(gate.demandsOfRequest(asked(principal))).toHaveLength(2);
  });

  it('has rules by address first, then user, key, tenant, route and model', async () => {
    const minute = { requests_per_minute: 7 };
    const { gate } = await limitsWith([
      ruleOf({ scope: 'model', subject: 'gpt-4o', figures: { ...minute, tokens_per_day: 50 } }),
      ruleOf({ scope: 'route', subject: '*', figures: { concurrent: 2 } }),
      ruleOf({ scope: 'key', subject: 'key-1', figures: { tokens_per_day: 60 } }),
      ruleOf({ scope: 'user', subject: 'user-1', figures: { queries_per_second: 0.5, burst: 1 } }),
      ruleOf({ scope: 'ip', subject: '*', figures: minute }),
    ]);
    const principal = principalOf({ userId: 'user-1' });
    const query = gate.demandsOfQuery(asked(principal, '192.0.2.7')).map(({ counter }) => counter);
    expect(query).toEqual([
      'rule:rule-ip-*:192.0.2.7:requests_per_minute',
      'user:user-1:requests_per_minute',
      'user:user-1:requests_per_day',
      'rule:rule-user-user-1:user-1:queries_per_second',
      'key:key-1:requests_per_minute',
      'key:key-1:requests_per_day',
      'tenant:queries_per_second',
      'tenant:queries_per_day',
      'tenant:concurrent',
    ]);
    expect(summary(gate.demandsOfCall(principal, { route: 'chat', model: 'gpt-4o', tokens: 40 }))).toEqual([
      ['window', 'rule:rule-key-key-1:key-1:tokens_per_day', 60, 40],
      ['window', 'tenant:tokens_per_day', 100_000, 40],
      ['concurrent', 'rule:rule-route-*:chat:concurrent', 2, undefined],
      ['window', 'rule:rule-model-gpt-4o:gpt-4o:requests_per_minute', 7, 1],
      ['window', 'rule:rule-model-gpt-4o:gpt-4o:tokens_per_day', 50, 40],
    ]);
    expect(gate.demandsOfRequest(asked(principal)).some(({ counter }) => counter.startsWith('rule'))).toBe(
      false,
    );
  });

  it('is nothing for an internal service but tokens of its calls', async () => {
    const { gate } = await limitsWith([ruleOf({ scope: 'key', subject: '*', figures: { concurrent: 1 } })]);
    const service = principalOf({ internal: true });
    expect(gate.demandsOfRequest(asked(service, '192.0.2.7'))).toEqual([]);
    expect(gate.demandsOfQuery(asked(service, '192.0.2.7'))).toEqual([]);
    const call = gate.demandsOfCall(service, { route: null, model: 'm', tokens: 9 });
    expect(summary(call)).toEqual([['window', 'tenant:tokens_per_day', 100_000, 9]]);
  });

  it('is ten a minute for whoever shows no credential, or what the configuration says', async () => {
    const { gate } = await limitsWith();
    expect(gate.demandsOfStranger('192.0.2.7')).toMatchObject([{ limit: 10, windowMs: 60_000, amount: 1 }]);
    const open = await limitsWith([], { ...defaultLimits, unauthenticatedPerMinute: null });
    expect(open.gate.demandsOfStranger('192.0.2.7')).toEqual([]);
  });

  it('holds two limits of one kind under names and counters of their own, never more than one admission takes', async () => {
    const all = {
      requests_per_minute: 1,
      requests_per_day: 1,
      queries_per_second: 1,
      burst: 1,
      concurrent: 1,
    };
    const scopes = ['ip', 'user', 'key', 'route', 'model'] as const;
    const subjects = { ip: '192.0.2.7', user: 'user-1', key: 'key-1', route: 'chat', model: 'gpt-4o' };
    const rules = scopes.flatMap((scope) =>
      ['*', subjects[scope]].map((subject) =>
        ruleOf({ scope, subject, figures: scope === 'ip' ? all : { ...all, tokens_per_day: 1 } }),
      ),
    );
    const { gate, counters } = await limitsWith(rules);
    const principal = principalOf({ userId: 'user-1' });
    const demands = [
      ...gate.demandsOfQuery(asked(principal, '192.0.2.7')),
      ...gate.demandsOfCall(principal, { route: 'chat', model: 'gpt-4o', tokens: 1 }),
    ];
    expect(demands).toHaveLength(56);
    expect(new Set(demands.map(({ counter }) => counter)).size).toBe(56);
    const decided = counters.admit({ group: facts.id, id: 'r', demands });
    if (decided.outcome !== 'admitted') throw new Error(decided.outcome);
    const policies = gate.headers(demands, decided.states)['RateLimit-Policy']?.split(', ') ?? [];
    expect(new Set(policies.map((item) => item.split(';')[0])).size).toBe(56);
  });
});

describe('what callers are told', () => {
  it('names every limit in the draft’s two fields, and the nearest to exhaustion in the common ones', async () => {
    const { gate, counters } = await limitsWith();
    const principal = principalOf();
    const demands = [
      ...gate.demandsOfQuery(asked(principal)),
      ...gate.demandsOfCall(principal, { route: null, model: 'm', tokens: 90_000 }),
    ];
    const decided = counters.admit({ group: facts.id, id: 'r', demands });
    if (decided.outcome !== 'admitted') throw new Error(decided.outcome);
    expect(gate.headers(demands, decided.states)).toEqual({
      RateLimit: [
        '"key-requests-per-minute";r=99;t=60',
        '"key-requests-per-day";r=4999;t=43200',
        '"tenant-queries-per-second";r=1;t=1',
        '"tenant-queries-per-day";r=999;t=43200',
        '"tenant-concurrent";r=4',
        '"tenant-tokens-per-day";r=10000;t=43200',
      ].join(', '),
      'RateLimit-Policy': [
        '"key-requests-per-minute";q=100;w=60',
        '"key-requests-per-day";q=5000;w=86400',
        '"tenant-queries-per-second";q=2;w=2',
        '"tenant-queries-per-day";q=1000;w=86400',
        '"tenant-concurrent";q=5;qu="concurrent-requests"',
        '"tenant-tokens-per-day";q=100000;qu="tokens";w=86400',
      ].join(', '),
      'X-RateLimit-Limit': '100000',
      'X-RateLimit-Remaining': '10000',
      'X-RateLimit-Reset': '43200',
    });
  });

  it('says nothing where nothing is limited', async () => {
    const { gate } = await limitsWith();
    expect(gate.headers([], [])).toEqual({});
    const budget = { kind: 'budget' as const, counter: 'b', limit: 1, amount: 1, endsAtMs: 1 };
    expect(gate.headers([budget], [{ remaining: 0, resetMs: 0 }])).toEqual({});
  });

  it('names the limit that refuses, whom it limits, and when to come back, in whole seconds', async () => {
    const { gate, counters, time } = await limitsWith();
    const demands = gate.demandsOfQuery(asked(principalOf()));
    for (const id of ['a', 'b']) counters.admit({ group: facts.id, id, demands });
    const refused = counters.admit({ group: facts.id, id: 'c', demands }) as Refused;
    const demand = demands[refused.exhausted];
    if (!demand) throw new Error('it names none');
    expect(gate.refusal(demand, refused)).toMatchObject({
      code: 'rate_limited',
      message:
        'This tenant makes more than 1 queries a second, with up to 2 at a burst. Try again in 1 second.',
      retryAfterSeconds: 1,
      extra: {
        limit: 'queries_per_second',
        scope: 'tenant',
        subject: null,
        limit_value: 1,
        remaining: 0,
        reset_seconds: 2,
      },
    });
    time.ms += 1_000;
    expect(counters.admit({ group: facts.id, id: 'd', demands }).outcome).toBe('admitted');
  });

  it('rounds the wait up, and gives none where waiting cannot help', async () => {
    const { gate, counters } = await limitsWith();
    const call = (tokens: number) => gate.demandsOfCall(principalOf(), { route: null, model: 'm', tokens });
    const refusalOf = (demands: ReturnType<typeof call>, id: string) => {
      const refused = counters.admit({ group: facts.id, id, demands }) as Refused;
      return gate.refusal(demands[0] as (typeof demands)[0], refused);
    };
    expect(refusalOf(call(100_001), 'a')).toMatchObject({
      retryAfterSeconds: undefined,
      extra: { limit: 'tokens_per_day', remaining: 100_000 },
    });
    counters.admit({ group: facts.id, id: 'b', demands: call(100_000) });
    // Noon: half a day until the window ends, and as long again until nothing of it counts.
    expect(refusalOf(call(100_000), 'c').retryAfterSeconds).toBe(129_600);
    expect(refusalOf(call(1), 'd').retryAfterSeconds).toBe(43_201);
  });
});
