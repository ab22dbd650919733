import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createTestAccess } from '../../test/harness/access-instance.ts';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { type Principal, platformPrincipal } from '../access/index.ts';
import { systemClock } from '../platform/clock.ts';
import { createNotifications } from '../platform/database/notifications.ts';
import { createIds } from '../platform/ids.ts';
import { defaultLimits } from '../platform/limits-settings.ts';
import { createLog } from '../platform/log.ts';
import { systemRandom } from '../platform/random.ts';
import { rulesAtMost } from './limit-rules.ts';
import { createLimits } from './limits.service.ts';
import { createLimitsStore } from './limits.store.ts';

const log = createLog('silent');
const newId = createIds(systemClock, systemRandom);
let test: TestDatabase;

/** Tenants and limits as one server has them. */
async function instance() {
  const notifications = createNotifications(test.url, systemClock, log);
  const access = createTestAccess(test, {
    subscribe: (onChange, onGap) => notifications.subscribe('access_changed', onChange, onGap),
  });
  const limits = createLimits({
    store: createLimitsStore(test.database),
    access,
    config: defaultLimits,
    clock: systemClock,
    newId,
    log,
    subscribe: (onChange, onGap) => notifications.subscribe('limits_changed', onChange, onGap),
  });
  await access.start();
  await limits.start();
  await notifications.start();
  const principal = (slug: string): Principal => {
    const tenant = access.tenant(slug);
    if (!tenant) throw new Error(`no tenant ${slug} here`);
    return { ...platformPrincipal(tenant), internal: false };
  };
  return {
    access,
    limits,
    principal,
    figures: (slug: string) => limits.figuresOf(principal(slug).tenant),
    async stop() {
      await notifications.stop();
      await access.stop();
    },
  };
}

let here: Awaited<ReturnType<typeof instance>>;
let there: Awaited<ReturnType<typeof instance>>;

beforeAll(async () => {
  test = await createTestDatabase();
  here = await instance();
  there = await instance();
  for (const slug of ['acme', 'other', 'crowded']) {
    await here.access.createTenant({ name: slug, slug, tier: 'free', region: 'eu' });
    await vi.waitFor(() => expect(there.access.tenant(slug)?.slug).toBe(slug));
  }
});
afterAll(async () => {
  await here.stop();
  await there.stop();
  await test.drop();
});

const minute = (n: number) => ({ requests_per_minute: n });
const inAnHour = () => new Date(Date.now() + 3_600_000);

describe('a tenant’s own figures', () => {
  it('count at once where they were set, and soon elsewhere; null gives the tier’s back', async () => {
    const limitsExpireAt = inAnHour();
    const limits = { concurrent: 50, tokens_per_day: null };
    const changed = await here.limits.changeTenant('acme', { limits, limitsExpireAt });
    expect(changed.inForce).toMatchObject({ concurrent: 50, tokens_per_day: null, burst: 2 });
    expect(changed.ownExpireAt).toEqual(limitsExpireAt);
    expect(here.figures('acme').concurrent).toBe(50);
    await expect.poll(() => there.figures('acme').tokens_per_day).toBeNull();
    const kept = await here.limits.changeTenant('acme', { tiersFigures: ['tokens_per_day'] });
    expect(kept.own).toEqual({ concurrent: 50 });
    expect(kept.ownExpireAt).toEqual(limitsExpireAt);
    const none = await here.limits.changeTenant('acme', { tiersFigures: ['concurrent'] });
    expect([none.own, none.ownExpireAt, none.row.limits_expire_at]).toEqual([{}, null, null]);
  });

  it('that have run out are gone, and new ones do not end with them', async () => {
    await here.limits.changeTenant('acme', { limits: { concurrent: 50 }, limitsExpireAt: inAnHour() });
    const past = new Date(Date.now() - 1_000);
    await test.database.platform
      .withTables<{ tenants: { slug: string; limits_expire_at: Date } }>()
      .updateTable('tenants')
      .set({ limits_expire_at: past })
      .where('slug', '=', 'acme')
      .execute();
    await expect.poll(() => here.figures('acme').concurrent).toBe(5);
    const anew = await here.limits.changeTenant('acme', { limits: { burst: 9 } });
    expect(anew.own).toEqual({ burst: 9 });
    expect(anew.ownExpireAt).toBeNull();
  });

  it('are in a time zone that the database computes with', async () => {
    await expect(here.limits.changeTenant('acme', { timeZone: 'US/Pacific-New' })).rejects.toMatchObject({
      code: 'invalid',
      errors: [{ path: 'time_zone' }],
    });
    expect((await here.limits.changeTenant('acme', { timeZone: 'Asia/Kolkata' })).row.time_zone).toBe(
      'Asia/Kolkata',
    );
  });

  it('cannot end in the past', async () => {
    const limitsExpireAt = new Date(Date.now() - 1);
    await expect(
      here.limits.changeTenant('acme', { limits: { burst: 3 }, limitsExpireAt }),
    ).rejects.toMatchObject({
      code: 'invalid',
      errors: [{ path: 'limits_expire_at' }],
    });
  });
});

describe('a tier', () => {
  it('is what an owner last said, on every server', async () => {
    const owner = here.principal('acme');
    await here.limits.changeTier(owner, 'free', { set: { ...minute(77), queries_per_day: null }, unset: [] });
    expect(here.figures('other')).toMatchObject({ requests_per_minute: 77, queries_per_day: null });
    await expect.poll(() => there.figures('other').requests_per_minute).toBe(77);
    await here.limits.changeTier(owner, 'free', { set: {}, unset: ['requests_per_minute'] });
    await expect
      .poll(() => there.figures('other'))
      .toMatchObject({ requests_per_minute: 100, queries_per_day: null });
  });
});

describe('rules', () => {
  const given = { scope: 'key' as const, subject: '*', figures: minute(7), expiresAt: null };
  const limitsOf = (at: typeof here, slug: string) =>
    at.limits.gate
      .demandsOfRequest({ principal: at.principal(slug), ip: null, weight: 1 })
      .flatMap((demand) => (demand.kind === 'window' ? [demand.limit] : []));

  it('are heard of on every server when they are made, changed and deleted, in their tenant only', async () => {
    const rule = await here.limits.createRule(here.principal('acme'), given);
    expect(limitsOf(here, 'acme')).toContain(7);
    await expect.poll(() => limitsOf(there, 'acme')).toContain(7);
    expect(limitsOf(there, 'other')).not.toContain(7);
    const change = { set: minute(8), unset: [] };
    for (const unknown of [newId(), 'no-id']) {
      await expect(
        here.limits.changeRule(here.principal('acme'), unknown, change, undefined),
      ).rejects.toMatchObject({ code: 'not_found' });
    }
    await expect(
      here.limits.changeRule(here.principal('other'), rule.id, change, undefined),
    ).rejects.toMatchObject({ code: 'not_found' });
    await expect(here.limits.deleteRule(here.principal('other'), rule.id)).rejects.toMatchObject({
      code: 'not_found',
    });
    await there.limits.changeRule(there.principal('acme'), rule.id, change, undefined);
    await expect.poll(() => limitsOf(here, 'acme')).toContain(8);
    await here.limits.deleteRule(here.principal('acme'), rule.id);
    await expect.poll(() => limitsOf(there, 'acme')).not.toContain(8);
  });

  it('have a burst of twice their rate, which goes with it', async () => {
    const acme = here.principal('acme');
    const rule = await here.limits.createRule(acme, {
      ...given,
      scope: 'model',
      subject: 'gpt-4o',
      figures: { queries_per_second: 0.5, concurrent: 3 },
    });
    expect(rule.figures).toEqual({ queries_per_second: 0.5, burst: 1, concurrent: 3 });
    const change = { set: {}, unset: ['queries_per_second' as const] };
    expect((await here.limits.changeRule(acme, rule.id, change, undefined)).figures).toEqual({
      concurrent: 3,
    });
    for (const [set, unset, path] of [
      [{}, ['concurrent'], 'limits'],
      [{ burst: 3 }, [], 'limits.burst'],
    ] as const) {
      await expect(here.limits.changeRule(acme, rule.id, { set, unset }, undefined)).rejects.toMatchObject({
        code: 'invalid',
        errors: [{ path }],
      });
    }
  });

  it('know an address in any of its spellings, and refuse what is none', async () => {
    const other = here.principal('other');
    const made = await here.limits.createRule(other, { ...given, scope: 'ip', subject: '2001:DB8:0:0:1::9' });
    const limited = { principal: other, ip: made.subject, weight: 1 };
    expect(made.subject).toBe('2001:db8::/64');
    expect(here.limits.gate.demandsOfRequest(limited)).toHaveLength(3);
    await expect(
      here.limits.createRule(other, { ...given, scope: 'ip', subject: '2001:db8::/64' }),
    ).rejects.toMatchObject({ code: 'conflict' });
    await expect(
      here.limits.createRule(other, { ...given, scope: 'ip', subject: 'proxy' }),
    ).rejects.toMatchObject({
      code: 'invalid',
      errors: [{ path: 'subject' }],
    });
  });

  it('are of users and keys that are there', async () => {
    for (const scope of ['user', 'key'] as const) {
      await expect(
        here.limits.createRule(here.principal('other'), { ...given, scope, subject: newId() }),
      ).rejects.toMatchObject({ code: 'invalid', errors: [{ path: 'subject' }] });
      const each = await here.limits.createRule(here.principal('other'), { ...given, scope, subject: '*' });
      await here.limits.deleteRule(here.principal('other'), each.id);
    }
  });

  it('are not more than so many, however many are made at once', async () => {
    const crowded = here.principal('crowded');
    const make = (n: number) =>
      here.limits.createRule(crowded, { ...given, scope: 'model', subject: `model-${n}` });
    for (let n = 0; n < rulesAtMost - 3; n += 10) {
      await Promise.all(Array.from({ length: Math.min(10, rulesAtMost - 3 - n) }, (_, i) => make(n + i)));
    }
    const more = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => make(rulesAtMost + i)));
    expect(more.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
    const refused = more.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused.map(({ code }) => code)).toEqual(Array(5).fill('conflict'));
    const page = await here.limits.rules(crowded, { limit: 200, after: null });
    expect(page).toHaveLength(rulesAtMost);
  });
});
