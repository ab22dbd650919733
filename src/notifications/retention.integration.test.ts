import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { notifierSuite } from '../../test/harness/notifier.ts';
import { createDeliveriesStore } from './deliveries.store.ts';

const suite = notifierSuite();
const dayMs = 24 * 3_600_000;
const ages = { deliveredMs: 30 * dayMs, deadMs: 90 * dayMs, eventMs: 400 * dayMs };

it('old deliveries are forgotten in bounded batches, what is open never, and events only long after', async () => {
  const notifier = await suite.start();
  const { database, tenant } = suite;
  await suite.channel(notifier, '/in');
  await suite.end(notifier);
  const made = async (state: string, count: number, days: number) => {
    for (let n = 0; n < count; n++) {
      await suite.tell(notifier, { dedupeKey: `${state} ${days} ${n}` });
    }
    await sql`update notification_deliveries set state = ${state}, updated_at = now() - make_interval(days => ${days}),
        next_attempt_at = case when ${state} in ('pending', 'failed') then next_attempt_at end
      from notification_events e
      where e.id = event_id and starts_with(e.dedupe_key, ${`${state} ${days} `})`.execute(database.platform);
    await sql`update notification_events set created_at = now() - make_interval(days => ${days})
      where starts_with(dedupe_key, ${`${state} ${days} `})`.execute(database.platform);
  };
  await made('delivered', 5, 31);
  await made('delivered', 1, 29);
  await made('dead', 1, 89);
  await made('dead', 1, 91);
  await made('failed', 1, 399);
  await made('delivered', 1, 401);

  const store = createDeliveriesStore(database);
  expect(await store.forget(ages, 3)).toBe(3);
  expect(await store.forget(ages, 3)).toBe(3);
  expect(await store.forget(ages, 3)).toBe(1);
  expect(await store.forget(ages, 3)).toBe(0);
  const { rows } = await sql<{ key: string; kept: boolean }>`
    select e.dedupe_key as key, d.id is not null as kept from notification_events e
      left join notification_deliveries d on d.event_id = e.id where e.tenant_id = ${tenant.tenantId}
    order by 1`.execute(database.platform);
  expect(rows.filter(({ kept }) => kept).map(({ key }) => key)).toEqual([
    'dead 89 0',
    'delivered 29 0',
    'failed 399 0',
  ]);
  // What was told is not told again, as long as the event is known.
  expect(rows).toHaveLength(9);
  expect(await suite.tell(notifier, { dedupeKey: 'delivered 31 0' })).toBe(false);
});
