import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { addTenant } from '../../test/harness/tenants.ts';
import { systemClock } from '../platform/clock.ts';
import { createIds } from '../platform/ids.ts';
import { systemRandom } from '../platform/random.ts';
import { maxOpenPerChannel } from './events.store.ts';
import type { NotificationEvent } from './notification-event.ts';
import { createNotify } from './notify.ts';

const newId = createIds(systemClock, systemRandom);
const notify = createNotify({ clock: systemClock, newId });

let test: TestDatabase;
beforeAll(async () => {
  test = await createTestDatabase();
});
afterAll(() => test.drop());

async function tenantWithChannels(
  ...channels: { name: string; kinds?: string[]; severity?: string; enabled?: boolean }[]
) {
  const tenantId = newId();
  await addTenant(test.database, tenantId, tenantId);
  for (const { name, kinds = [], severity = 'info', enabled = true } of channels) {
    await sql`insert into notification_channels (id, tenant_id, name, kind, sealed_target, shown_target, event_kinds,
        min_severity, enabled, created_by, created_at, updated_at)
      values (${newId()}, ${tenantId}, ${name}, 'webhook', 'sealed', 'https://hooks.test/', ${kinds}, ${severity},
        ${enabled}, 'test', now(), now())`.execute(test.database.platform);
  }
  return { tenantId, readerTokens: [] };
}

const event = (over: Partial<NotificationEvent> = {}): NotificationEvent => ({
  kind: 'cost.alert.threshold',
  severity: 'warning',
  dedupeKey: `key ${newId()}`,
  title: 'Budget at 80 %',
  text: 'The budget of the tenant for this month is spent to 80 %.',
  occurredAt: new Date('2026-11-21T08:00:00Z'),
  subject: 'budget:1',
  data: { spent_usd: '80.000000000' },
  ...over,
});

async function toldOf(tenantId: string, dedupeKey: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select c.name from notification_deliveries d join notification_channels c on c.id = d.channel_id
      join notification_events e on e.id = d.event_id
    where e.tenant_id = ${tenantId} and e.dedupe_key = ${dedupeKey} order by 1`.execute(
    test.database.platform,
  );
  return rows.map(({ name }) => name);
}

describe('telling of an event', () => {
  it('reaches the channels that want it, from a tenant’s transaction and from the platform’s', async () => {
    const tenant = await tenantWithChannels(
      { name: 'all' },
      { name: 'costs', kinds: ['cost.*'] },
      { name: 'other kinds', kinds: ['cost.alert.spike', 'costly.*'] },
      { name: 'critical', severity: 'critical' },
      { name: 'off', enabled: false },
    );
    const other = await tenantWithChannels({ name: 'other tenant' });
    const [one, two] = [event(), event()];
    expect(await test.database.inTenant(tenant, (tx) => notify(tx, tenant.tenantId, one))).toBe(true);
    await test.database.platform.transaction().execute((tx) => notify(tx, tenant.tenantId, two));
    expect(await toldOf(tenant.tenantId, one.dedupeKey)).toEqual(['all', 'costs']);
    expect(await toldOf(tenant.tenantId, two.dedupeKey)).toEqual(['all', 'costs']);
    expect(await toldOf(other.tenantId, one.dedupeKey)).toEqual([]);
  });

  it('is once for each key and tenant, however many tell it at once', async () => {
    const [tenant, other] = [
      await tenantWithChannels({ name: 'a' }),
      await tenantWithChannels({ name: 'b' }),
    ];
    const same = event();
    const told = await Promise.all(
      Array.from({ length: 8 }, () =>
        test.database.inTenant(tenant, (tx) => notify(tx, tenant.tenantId, same)),
      ),
    );
    expect(told.filter(Boolean)).toHaveLength(1);
    expect(await toldOf(tenant.tenantId, same.dedupeKey)).toEqual(['a']);
    expect(await test.database.inTenant(other, (tx) => notify(tx, other.tenantId, same))).toBe(true);
  });

  it('happens if and only if the transaction does', async () => {
    const tenant = await tenantWithChannels({ name: 'a' });
    const undone = event();
    await expect(
      test.database.inTenant(tenant, async (tx) => {
        await notify(tx, tenant.tenantId, undone);
        throw new Error('undone');
      }),
    ).rejects.toThrow('undone');
    expect(await toldOf(tenant.tenantId, undone.dedupeKey)).toEqual([]);
    expect(await test.database.inTenant(tenant, (tx) => notify(tx, tenant.tenantId, undone))).toBe(true);
  });

  it('cannot be for another tenant than the transaction is', async () => {
    const [tenant, other] = [
      await tenantWithChannels({ name: 'a' }),
      await tenantWithChannels({ name: 'b' }),
    ];
    await expect(test.database.inTenant(tenant, (tx) => notify(tx, other.tenantId, event()))).rejects.toThrow(
      'row-level security',
    );
  });

  it('settles another event on the channels that heard of it, whatever they want by now', async () => {
    const tenant = await tenantWithChannels({ name: 'warned', severity: 'warning' }, { name: 'off later' });
    const alert = event();
    await test.database.inTenant(tenant, (tx) => notify(tx, tenant.tenantId, alert));
    await sql`update notification_channels set enabled = false where tenant_id = ${tenant.tenantId}
      and name = 'off later'`.execute(test.database.platform);
    const settled = event({ kind: 'cost.alert.acknowledged', severity: 'info', resolves: alert.dedupeKey });
    await test.database.inTenant(tenant, (tx) => notify(tx, tenant.tenantId, settled));
    expect(await toldOf(tenant.tenantId, settled.dedupeKey)).toEqual(['warned']);
    const { rows } = await sql<{ linked: boolean }>`
      select d.follows = a.id and e.resolves = a.id as linked from notification_deliveries d
        join notification_events e on e.id = d.event_id
        join notification_events a on a.dedupe_key = ${alert.dedupeKey}
      where e.dedupe_key = ${settled.dedupeKey}`.execute(test.database.platform);
    expect(rows).toEqual([{ linked: true }]);
  });

  it('leaves what does not fit on a channel dead, to be sent by hand, and fills no queue without end', async () => {
    const tenant = await tenantWithChannels({ name: 'full' }, { name: 'free' });
    await sql`
      with events as (
        insert into notification_events (id, tenant_id, dedupe_key, kind, severity, title, text, subject, data,
          occurred_at, created_at)
        select gen_random_uuid(), ${tenant.tenantId}, 'filler ' || n, 'a.b', 'info', 't', '', 's', '{}', now(), now()
        from generate_series(1, ${maxOpenPerChannel}::int) n returning id)
      insert into notification_deliveries (id, tenant_id, event_id, channel_id, state, next_attempt_at, queued_at,
        created_at, updated_at)
      select gen_random_uuid(), ${tenant.tenantId}, events.id, c.id, 'pending', now() + interval '1 hour', now(), now(),
        now()
      from events, notification_channels c where c.tenant_id = ${tenant.tenantId} and c.name = 'full'`.execute(
      test.database.platform,
    );
    const last = event();
    await test.database.inTenant(tenant, (tx) => notify(tx, tenant.tenantId, last));
    const { rows } = await sql<{ name: string; state: string; last_error: string | null }>`
      select c.name, d.state, d.last_error from notification_deliveries d
        join notification_channels c on c.id = d.channel_id join notification_events e on e.id = d.event_id
      where e.dedupe_key = ${last.dedupeKey} order by 1`.execute(test.database.platform);
    expect(rows).toEqual([
      { name: 'free', state: 'pending', last_error: null },
      { name: 'full', state: 'dead', last_error: 'too many deliveries wait on this channel' },
    ]);
  });

  it('cuts what people read and refuses what programs would miss', async () => {
    const tenant = await tenantWithChannels({ name: 'a' });
    const tell = (over: Partial<NotificationEvent>) =>
      test.database.inTenant(tenant, (tx) => notify(tx, tenant.tenantId, event(over)));
    await tell({ dedupeKey: 'long', title: `${'a'.repeat(198)}😀😀`, text: 'b'.repeat(9_000) });
    const { rows } = await sql<{ title: string; text: string }>`
      select title, text from notification_events where tenant_id = ${tenant.tenantId}`.execute(
      test.database.platform,
    );
    expect(rows).toEqual([{ title: `${'a'.repeat(198)}…`, text: `${'b'.repeat(3_999)}…` }]);
    await expect(tell({ data: { much: 'x'.repeat(20_000) } })).rejects.toThrow('16384 bytes');
    await expect(tell({ kind: 'No Kind' })).rejects.toThrow('not a kind');
    await expect(tell({ dedupeKey: '' })).rejects.toThrow('dedupe key');
  });
});
