import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { until } from '../../test/harness/child.ts';
import { newId, notifierSuite } from '../../test/harness/notifier.ts';
import { answerWith, isSignedWith, type Receiver } from '../../test/harness/receiver.ts';
import { systemRandom } from '../platform/random.ts';
import { createSecretBox } from '../platform/secret-box.ts';
import { usualBounds } from './delivering.ts';

const suite = notifierSuite();
const { start, channel, tell, deliveries, inState, hurry, receivedOn, newTenant } = suite;

describe('a delivery', () => {
  it('arrives at each channel in its own form, and says so', async () => {
    const notifier = await start();
    const { secret } = await channel(notifier, '/webhook');
    await channel(notifier, '/slack', { kind: 'slack' });
    await channel(notifier, '', { name: 'pd', kind: 'pagerduty', target: 'k'.repeat(32) });
    await tell(notifier);
    const rows = await inState(notifier, 'delivered');
    expect(rows).toHaveLength(3);
    expect(rows[0]).toMatchObject({ attempts: 1, last_status: 200, last_error: null, next_attempt_at: null });
    const [webhook] = receivedOn('/webhook');
    expect(webhook && isSignedWith(secret ?? '', webhook)).toBe(true);
    expect(webhook?.headers['webhook-id']).toBe(rows[0]?.event_id);
    expect(webhook?.json).toMatchObject({ type: 'cost.alert.threshold', tenant_id: suite.tenant.tenantId });
    expect(receivedOn('/slack')[0]?.json.text).toContain('Budget at 80 %');
    expect(receivedOn('/v2/enqueue')[0]?.json).toMatchObject({
      routing_key: 'k'.repeat(32),
      event_action: 'trigger',
    });
    const metrics = await notifier.metrics.metrics();
    for (const kind of ['webhook', 'slack', 'pagerduty']) {
      expect(metrics).toContain(`notification_deliveries_total{kind="${kind}",result="delivered"} 1`);
    }
  });

  it('is tried again under the same id until it is taken, and not sooner than was asked for', async () => {
    const notifier = await start();
    await channel(notifier, '/in');
    suite.receiver.answer('/in', (response, _message, again) =>
      answerWith(again === 0 ? 500 : 503, { 'retry-after': '3600' })(response, _message, again),
    );
    await tell(notifier);
    const [failed] = await until(async () => {
      const rows = await deliveries(notifier, { state: 'failed' });
      return rows.length === 1 && rows;
    });
    expect(failed).toMatchObject({ attempts: 1, last_status: 500, last_error: 'answered with status 500' });
    const waits = (failed?.next_attempt_at?.getTime() ?? 0) - Date.now();
    expect(waits).toBeGreaterThan(3_500_000);
    suite.receiver.answer('/in', answerWith(200));
    await hurry();
    const [done] = await inState(notifier, 'delivered');
    expect(done).toMatchObject({ attempts: 2, last_status: 200, last_error: null });
    const ids = receivedOn('/in').map((message) => message.headers['webhook-id']);
    expect(new Set(ids).size).toBe(1);
    expect(ids).toHaveLength(2);
  });

  it('that nobody takes for a day is dead, and goes out when somebody asks', async () => {
    const notifier = await start();
    await channel(notifier, '/in');
    suite.receiver.answer('/in', answerWith(500, { 'retry-after': '3600' }));
    await tell(notifier);
    await inState(notifier, 'failed');
    await sql`update notification_deliveries set queued_at = now() - interval '1 day'`.execute(
      suite.database.platform,
    );
    await hurry();
    const [dead] = await inState(notifier, 'dead');
    expect(dead).toMatchObject({ attempts: 2, next_attempt_at: null, last_status: 500 });
    suite.receiver.answer('/in', answerWith(204));
    await notifier.redeliver(suite.tenant, dead?.id ?? '');
    const [done] = await inState(notifier, 'delivered');
    expect(done).toMatchObject({ id: dead?.id, attempts: 3, last_status: 204 });
    expect(new Set(receivedOn('/in').map((message) => message.headers['webhook-id'])).size).toBe(1);
    expect(await notifier.metrics.metrics()).toContain('{kind="webhook",result="dead"} 1');
  });

  it('that is refused with 410 switches its channel off and says why', async () => {
    const notifier = await start();
    const { row } = await channel(notifier, '/gone');
    suite.receiver.answer('/gone', answerWith(410));
    await tell(notifier);
    const [dead] = await inState(notifier, 'dead');
    expect(dead?.last_error).toContain('gone for good');
    expect(await notifier.channel(suite.tenant, row.id)).toMatchObject({
      enabled: false,
      disabled_reason: expect.stringContaining('410'),
    });
    await tell(notifier);
    expect(await deliveries(notifier)).toHaveLength(1);
    await expect(notifier.redeliver(suite.tenant, dead?.id ?? '')).rejects.toMatchObject({
      code: 'conflict',
    });
    suite.receiver.answer('/gone', answerWith(200));
    await sql`update notification_channels set enabled = true`.execute(suite.database.platform);
    await notifier.redeliver(suite.tenant, dead?.id ?? '');
    await inState(notifier, 'delivered');
  });

  it('waits for nobody: endpoints that hang hold up neither other channels nor other tenants', async () => {
    const bounds = { ...usualBounds, atOnce: 6, perChannel: 1, perTenant: 4, stopMs: 0 };
    const notifier = await start({ bounds, timeouts: { connectMs: 2_000, totalMs: 60_000 } });
    const other = await newTenant();
    for (const path of ['/hangs-1', '/hangs-2', '/hangs-3']) {
      await channel(notifier, path);
      suite.receiver.answer(path, () => {});
    }
    for (let n = 0; n < 20; n++) await tell(notifier);
    await until(async () =>
      ['/hangs-1', '/hangs-2', '/hangs-3'].every((path) => receivedOn(path).length === 1),
    );
    await channel(notifier, '/answers', { eventKinds: ['cost.alert.spike'] });
    await channel(notifier, '/answers-too', {}, other);
    for (let n = 0; n < 10; n++) {
      await tell(notifier, { kind: 'cost.alert.spike' });
      await tell(notifier, {}, other);
    }
    await until(async () => receivedOn('/answers').length === 10 && receivedOn('/answers-too').length === 10);
    expect(receivedOn('/hangs-1')).toHaveLength(1);
  });

  it('of an event that settles another comes after that other', async () => {
    const notifier = await start();
    await channel(notifier, '', { name: 'pd', kind: 'pagerduty', target: 'k'.repeat(32) });
    suite.receiver.answer('/v2/enqueue', answerWith(500, { 'retry-after': '3600' }));
    await tell(notifier, { dedupeKey: 'alert' });
    const [alert] = await inState(notifier, 'failed');
    suite.receiver.answer('/v2/enqueue', answerWith(202));
    await tell(notifier, {
      dedupeKey: 'alert:acknowledged',
      kind: 'cost.alert.acknowledged',
      resolves: 'alert',
    });
    await tell(notifier, { dedupeKey: 'another' });
    await until(async () => (await deliveries(notifier, { state: 'delivered' })).length === 1);
    const actions = () =>
      receivedOn('/v2/enqueue').map(({ json }) => [json.event_action, json.dedup_key] as const);
    expect(actions().map(([action]) => action)).toEqual(['trigger', 'trigger']);
    await hurry();
    await inState(notifier, 'delivered');
    expect(actions().slice(2)).toEqual([
      ['trigger', alert?.event_id],
      ['resolve', alert?.event_id],
    ]);
  });

  it('is not made to where the operator does not allow it, not even when it was allowed before', async () => {
    const allowing = await start();
    await channel(allowing, '/in');
    await suite.end(allowing);
    const strict = await start({ allowedAddresses: [] });
    await tell(strict);
    const [failed] = await inState(strict, 'failed');
    expect(failed?.last_error).toMatch(/^not sent: the address must/);
    expect(suite.receiver.messages).toHaveLength(0);
  });

  it('is told apart from one that cannot be: a channel sealed by another master key fails in words', async () => {
    const before = await start();
    await channel(before, '/in');
    await suite.end(before);
    const notifier = await start({ secretBox: createSecretBox(Buffer.alloc(32, 8), systemRandom) });
    await tell(notifier);
    const [failed] = await inState(notifier, 'failed');
    expect(failed?.last_error).toContain('another master key');
  });
});

describe('several instances', () => {
  it('send each delivery once while nobody is killed, and never the same one at the same time', async () => {
    const [one] = [await start(), await start(), await start()];
    const slow =
      (ms: number): Parameters<Receiver['answer']>[1] =>
      (response, message, again) => {
        setTimeout(() => answerWith(again === 0 ? 500 : 200)(response, message, again), ms);
      };
    for (const path of ['/a', '/b', '/c']) {
      await channel(one, path);
      suite.receiver.answer(path, slow(5));
    }
    const events = 40;
    await Promise.all(Array.from({ length: events }, () => tell(one)));
    // Each fails once, so each is sent twice, and no more often.
    await until(async () => {
      await hurry();
      const rows = await deliveries(one);
      return rows.length === 3 * events && rows.every((row) => row.state === 'delivered');
    });
    expect(suite.receiver.messages).toHaveLength(2 * 3 * events);
    expect(suite.receiver.mostAtOnce()).toBe(1);
  });

  it('take up what a killed one had begun when its claim runs out', async () => {
    const one = await start({ bounds: { ...usualBounds, claimMs: 300, lookEveryMs: 100 } });
    await channel(one, '/in');
    await tell(one);
    await inState(one, 'delivered');
    // As a process leaves it that is killed after it claimed the delivery.
    await sql`update notification_deliveries set state = 'pending', claim = ${newId()}, delivered_at = null,
      next_attempt_at = now() + interval '300 milliseconds'`.execute(suite.database.platform);
    await until(async () => receivedOn('/in').length === 2);
    await inState(one, 'delivered');
  });

  it('believe only the one that holds the claim', async () => {
    const one = await start();
    await channel(one, '/in');
    let answer: (() => void) | undefined;
    suite.receiver.answer('/in', (response) => {
      answer = () => response.writeHead(500).end();
    });
    await tell(one);
    await until(async () => answer);
    await sql`update notification_deliveries set claim = ${newId()}, next_attempt_at = now() + interval '1 hour'`.execute(
      suite.database.platform,
    );
    answer?.();
    await until(async () => (await one.metrics.metrics()).includes('result="failed"} 1'));
    expect(await deliveries(one)).toMatchObject([{ state: 'pending', last_status: null }]);
  });
});
