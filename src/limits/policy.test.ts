import { describe, expect, it } from 'vitest';
import type { TenantFacts } from '../access/index.ts';
import type { LimitRule } from './limit-rules.ts';
import { type PolicySource, tenantPolicy } from './policy.ts';

const at = Date.UTC(2026, 5, 1);
const tenant: TenantFacts = {
  id: 'tenant-1',
  slug: 'acme',
  name: 'Acme',
  tier: 'free',
  region: 'eu',
  status: 'active',
  timeZone: 'UTC',
};
const nothingSet: PolicySource = { configuredTiers: {}, setTiers: new Map(), rules: [] };
const rule = (subject: string, expiresAt: Date | null = null): LimitRule => ({
  id: `rule-${subject}`,
  tenantId: tenant.id,
  scope: 'model',
  subject,
  figures: { concurrent: 1 },
  expiresAt,
  createdBy: 'key:k',
  createdAt: new Date(at),
  updatedAt: new Date(at),
});

describe('a tenant’s figures', () => {
  it('are those of the table of tiers where nobody says otherwise', () => {
    expect(tenantPolicy(tenant, nothingSet, at).figures).toEqual({
      queries_per_second: 1,
      burst: 2,
      queries_per_day: 1_000,
      requests_per_minute: 100,
      requests_per_day: 5_000,
      tokens_per_day: 100_000,
      concurrent: 5,
    });
    const enterprise = tenantPolicy({ ...tenant, tier: 'enterprise' }, nothingSet, at).figures;
    expect(enterprise).toMatchObject({ queries_per_day: null, requests_per_day: null, tokens_per_day: null });
  });

  it('prefer its own to what the owner set, that to the configuration, and that to what is built in', () => {
    const source: PolicySource = {
      configuredTiers: { free: { burst: 3, concurrent: 30, queries_per_day: 300 }, starter: { burst: 99 } },
      setTiers: new Map([['free', { concurrent: 31, queries_per_day: null }]]),
      rules: [],
    };
    const limits = { figures: { queries_per_day: 7, tokens_per_day: null }, expireAtMs: null };
    expect(tenantPolicy({ ...tenant, limits }, source, at).figures).toEqual({
      queries_per_second: 1,
      burst: 3,
      queries_per_day: 7,
      requests_per_minute: 100,
      requests_per_day: 5_000,
      tokens_per_day: null,
      concurrent: 31,
    });
  });

  it('end at the very millisecond that was said', () => {
    const limited = { ...tenant, limits: { figures: { concurrent: 50 }, expireAtMs: at } };
    const before = tenantPolicy(limited, nothingSet, at - 1);
    expect(before.figures.concurrent).toBe(50);
    expect(before.untilMs).toBe(at);
    expect(tenantPolicy(limited, nothingSet, at).figures.concurrent).toBe(5);
  });
});

describe('rules', () => {
  it('apply by their own subject and for each one of its own, at once', () => {
    const policy = tenantPolicy(tenant, { ...nothingSet, rules: [rule('gpt-4o'), rule('*')] }, at);
    expect(policy.rulesFor('model', 'gpt-4o').map(({ subject }) => subject)).toEqual(['gpt-4o', '*']);
    expect(policy.rulesFor('model', 'other').map(({ subject }) => subject)).toEqual(['*']);
    expect(policy.rulesFor('route', 'gpt-4o')).toEqual([]);
    expect(policy.has('route')).toBe(false);
  });

  it('a caller who is called * meets the rule once', () => {
    expect(
      tenantPolicy(tenant, { ...nothingSet, rules: [rule('*')] }, at).rulesFor('model', '*'),
    ).toHaveLength(1);
  });

  it('end at the very millisecond that was said, and the policy is good until the first of them does', () => {
    const rules = [rule('a', new Date(at + 5)), rule('b', new Date(at + 3)), rule('c')];
    const policy = tenantPolicy(tenant, { ...nothingSet, rules }, at);
    expect(policy.untilMs).toBe(at + 3);
    const later = tenantPolicy(tenant, { ...nothingSet, rules }, at + 3);
    expect([later.rulesFor('model', 'a').length, later.rulesFor('model', 'b').length]).toEqual([1, 0]);
    expect(later.untilMs).toBe(at + 5);
    expect(tenantPolicy(tenant, { ...nothingSet, rules }, at + 5).untilMs).toBe(Number.POSITIVE_INFINITY);
  });
});
