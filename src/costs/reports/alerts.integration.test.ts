import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import {
  insertOfRow,
  insertTestPrice,
  ordinaryRow,
  type ReportedRow,
} from '../../../test/harness/reported-rows.ts';
import { addTenant } from '../../../test/harness/tenants.ts';
import { createNotify } from '../../notifications/index.ts';
import { systemClock } from '../../platform/clock.ts';
import { createIds } from '../../platform/ids.ts';
import { createLog } from '../../platform/log.ts';
import { systemRandom } from '../../platform/random.ts';
import { type Alerts, createAlerts } from './alerts.service.ts';
import { createAlertsStore } from './alerts.store.ts';
import { createReportStore, type ReportStore } from './report.store.ts';
import { createRollupStore } from './rollup.store.ts';

const newId = createIds(systemClock, systemRandom);
const acme = { tenantId: newId(), readerTokens: [], keyId: 'key-of-finance' };
const other = { tenantId: newId(), readerTokens: [], keyId: 'key-of-others' };
const usd = 1_000_000_000n;
const listing = { limit: 50, after: null, kind: null, state: 'all' as const };

let test: TestDatabase;
let writer: pg.Client;
let alerts: Alerts;
let now = new Date('2026-11-20T12:30:00Z');

beforeAll(async () => {
  test = await createTestDatabase();
  await addTenant(test.database, acme.tenantId, 'acme');
  await addTenant(test.database, other.tenantId, 'other');
  writer = new pg.Client({ connectionString: test.url });
  await writer.connect();
  await insertTestPrice(writer);
  alerts = alertsOn(createReportStore(test.database));
});

function alertsOn(reports: ReportStore): Alerts {
  const clock = { now: () => now };
  return createAlerts({
    store: createAlertsStore(test.database),
    reports,
    notify: createNotify({ clock, newId }),
    clock,
    newId,
    log: createLog('silent'),
  });
}
afterAll(async () => {
  await writer.end();
  await test.drop();
});
beforeEach(async () => {
  now = new Date('2026-11-20T12:30:00Z');
  const { platform } = test.database;
  for (const table of ['ledger', 'cost_rollups', 'cost_alerts', 'cost_alert_checks', 'budgets']) {
    await sql`delete from ${sql.table(table)}`.execute(platform);
  }
  await sql`delete from notification_events`.execute(platform);
});

async function spend(given: Partial<ReportedRow> = {}): Promise<void> {
  await writer.query(
    ...insertOfRow('row', {
      id: newId(),
      tenantId: acme.tenantId,
      at: new Date(now.getTime() - 60_000),
      ...ordinaryRow,
      costNanoUsd: usd,
      ...given,
    }),
  );
}

async function addBudget(
  scope: string,
  scopeId: string | null,
  limitUsd: bigint,
  period = 'month',
): Promise<string> {
  const id = newId();
  await sql`insert into budgets (id, tenant_id, scope, scope_id, period, limit_nano_usd, created_by, created_at,
      updated_at)
    values (${id}, ${acme.tenantId}, ${scope}, ${scopeId}, ${period}, ${String(limitUsd * usd)}::bigint, 'test', now(),
      now())`.execute(test.database.platform);
  return id;
}

async function lookAtAll() {
  while ((await createRollupStore(test.database).rollUp(1_000)) === 'more');
  await alerts.lookAtDue();
  return alerts.list(acme, listing);
}

const eventKinds = async () => {
  const { rows } = await sql<{
    kind: string;
  }>`select kind from notification_events order by created_at, kind`.execute(test.database.platform);
  return rows.map(({ kind }) => kind);
};

describe('a budget', () => {
  it('alerts once at its threshold and once when it is used up, for whatever it is of', async () => {
    const budget = await addBudget('tag', 'beta', 10n);
    await addBudget('key', 'key-2', 10n);
    await spend({ tags: ['beta'], costNanoUsd: 7_999_999_999n });
    expect(await lookAtAll()).toEqual([]);
    await spend({ tags: ['beta', 'gamma'], costNanoUsd: 1n });
    const [reached, ...none] = await lookAtAll();
    expect(none).toEqual([]);
    expect(reached).toMatchObject({
      kind: 'threshold',
      severity: 'warning',
      subject: `budget:${budget}`,
      data: { reached_percent: 80, spent_usd: '8.000000000', limit_usd: '10.000000000', scope_id: 'beta' },
    });
    await spend({ tags: ['beta'], costNanoUsd: 2n * usd });
    await spend({ tags: ['beta'] });
    expect((await lookAtAll()).map(({ severity }) => severity).sort()).toEqual(['critical', 'warning']);
    await spend({ tags: ['beta'] });
    expect(await lookAtAll()).toHaveLength(2);
    expect(await eventKinds()).toEqual(['cost.alert.threshold', 'cost.alert.threshold']);
    expect(await alerts.list(other, listing)).toEqual([]);
  });

  it('of a model counts calls of the model and of the route of that name, each once', async () => {
    await addBudget('model', 'm', 10n);
    await spend({ model: 'm', route: 'm', costNanoUsd: 3n * usd });
    await spend({ model: 'x', route: 'm', costNanoUsd: 3n * usd });
    await spend({ model: 'x', route: 'y', costNanoUsd: 30n * usd });
    const thresholds = async () => (await lookAtAll()).filter(({ kind }) => kind === 'threshold');
    expect(await thresholds()).toEqual([]);
    await spend({ model: 'm', route: null, costNanoUsd: 3n * usd });
    expect(await thresholds()).toMatchObject([{ data: { spent_usd: '9.000000000' } }]);
  });

  it('is looked at when it is changed, without a new call', async () => {
    await spend();
    expect(await lookAtAll()).toEqual([]);
    const budget = await addBudget('tenant', null, 1n, 'day');
    expect(await lookAtAll()).toMatchObject([{ severity: 'critical', subject: `budget:${budget}` }]);
  });

  it('tells amounts of less than a cent in full', async () => {
    const id = await addBudget('tenant', null, 1n);
    await sql`update budgets set limit_nano_usd = 100000 where id = ${id}`.execute(test.database.platform);
    await spend({ costNanoUsd: 91_200n });
    const [alert] = await lookAtAll();
    expect(alert?.text).toContain('$0.0000912 of $0.0001 ');
  });

  it('is looked at again when it is changed while its tenant is looked at', async () => {
    const id = await addBudget('tenant', null, 10n);
    await spend();
    while ((await createRollupStore(test.database).rollUp(1_000)) === 'more');
    const reports = createReportStore(test.database);
    await alertsOn({
      ...reports,
      async spent(...given) {
        await sql`update budgets set limit_nano_usd = ${String(usd)}::bigint, updated_at = ${now}
          where id = ${id}`.execute(test.database.platform);
        return reports.spent(...given);
      },
    }).lookAtDue();
    expect(await alerts.list(acme, listing)).toEqual([]);
    expect((await lookAtAll()).map(({ severity }) => severity)).toEqual(['critical']);
  });

  it('alerts when the month is likely to pass it, before it does', async () => {
    const budget = await addBudget('tenant', null, 100n);
    for (let day = 1; day <= 19; day++) {
      await spend({ at: new Date(Date.UTC(2026, 10, day, 9)), costNanoUsd: (7n * usd) / 2n });
    }
    expect(await lookAtAll()).toMatchObject([
      { kind: 'forecast', subject: `budget:${budget}`, data: { expected_usd: '105.000000000' } },
    ]);
  });
});

describe('unusual spend', () => {
  it('alerts of an hour and a day far above the ordinary, and not of an ordinary one', async () => {
    for (let ago = 1; ago <= 20; ago++) {
      await spend({
        at: new Date(now.getTime() - ago * 86_400_000),
        costNanoUsd: (2n + BigInt(ago % 2)) * usd,
      });
    }
    await spend({ costNanoUsd: 3n * usd });
    expect(await lookAtAll()).toEqual([]);
    await spend({ costNanoUsd: 40n * usd });
    const found = await lookAtAll();
    expect(found.map(({ kind, subject }) => [kind, subject]).sort()).toEqual([
      ['spike', 'day'],
      ['spike', 'hour'],
    ]);
    expect(found[0]?.data).toMatchObject({ spent_usd: '43.000000000' });
  });
});

describe('a model without a price', () => {
  it('alerts once a month', async () => {
    await spend({ model: 'new-model', costNanoUsd: null });
    expect(await lookAtAll()).toMatchObject([
      { kind: 'unpriced', subject: 'model:new-model', data: { calls: 1, tokens: 20 } },
    ]);
    await spend({ model: 'new-model', costNanoUsd: null });
    expect(await lookAtAll()).toHaveLength(1);
    now = new Date('2026-12-02T12:00:00Z');
    await spend({ model: 'new-model', costNanoUsd: null });
    expect(await lookAtAll()).toHaveLength(2);
  });

  it('may have a name as long as a caller likes', async () => {
    await spend({ model: '💸'.repeat(400), costNanoUsd: null });
    expect(await lookAtAll()).toHaveLength(1);
  });
});

describe('alerts', () => {
  it('are looked for in every tenant of a round, however many there are and however busy', async () => {
    const { platform } = test.database;
    await sql`insert into tenants (id, slug, name, tier, region, status, created_at, updated_at)
      select gen_random_uuid(), 'many-' || i, 'Many', 'starter', 'eu', 'active', now(), now()
      from generate_series(1, 210) i`.execute(platform);
    await sql`insert into cost_alert_checks (tenant_id, due_since) select id, now() from tenants`.execute(
      platform,
    );
    await alerts.lookAtDue();
    const { rows } = await sql`select tenant_id from cost_alert_checks`.execute(platform);
    await sql`delete from tenants where slug like 'many-%'`.execute(platform);
    expect(rows).toEqual([]);
  });

  it('are written by two instances at once as one', async () => {
    await addBudget('tenant', null, 1n);
    await spend();
    while ((await createRollupStore(test.database).rollUp(1_000)) === 'more');
    await Promise.all([alerts.lookAtDue(), alerts.lookAtDue(), alerts.lookAtDue()]);
    expect(await alerts.list(acme, listing)).toHaveLength(1);
    expect(await eventKinds()).toEqual(['cost.alert.threshold']);
  });

  it('are acknowledged once, which settles what was opened for them, and not by another tenant', async () => {
    await addBudget('tenant', null, 1n);
    await spend();
    const [alert] = await lookAtAll();
    const id = alert?.id ?? '';
    await expect(alerts.acknowledge(other, id)).rejects.toMatchObject({ code: 'not_found' });
    const seen = await alerts.acknowledge(acme, id);
    expect(seen).toMatchObject({ acknowledged_by: 'key-of-finance', acknowledged_at: now });
    const again = await alerts.acknowledge({ ...acme, keyId: 'somebody-else' }, id);
    expect(again.acknowledged_by).toBe('key-of-finance');
    expect(await eventKinds()).toEqual(['cost.alert.acknowledged', 'cost.alert.threshold']);
    expect(await alerts.list(acme, { ...listing, state: 'open' })).toEqual([]);
    expect(await alerts.list(acme, { ...listing, state: 'acknowledged', kind: 'threshold' })).toHaveLength(1);
    expect(await alerts.list(acme, { ...listing, kind: 'spike' })).toEqual([]);
  });
});
