import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { type Principal, platformPrincipal } from '../../src/access/index.ts';
import {
  createNotifier,
  type NotificationEvent,
  type Notifier,
  type NotifierDependencies,
} from '../../src/notifications/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { Database } from '../../src/platform/database/database.ts';
import { createNotifications } from '../../src/platform/database/notifications.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLog } from '../../src/platform/log.ts';
import { createMetrics, type Metrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createSecretBox } from '../../src/platform/secret-box.ts';
import { until } from './child.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { type Receiver, startReceiver } from './receiver.ts';
import { addTenant } from './tenants.ts';

export const newId = createIds(systemClock, systemRandom);
const log = createLog('silent');

export interface RunningNotifier extends Notifier {
  readonly metrics: Metrics;
  /** Ends it with the connection by which it hears of news. */
  end(): Promise<void>;
}

/** One instance's notifier at work, which may reach loopback and takes no chances. */
export async function startNotifier(
  databaseUrl: string,
  database: Database,
  over: Partial<NotifierDependencies> = {},
): Promise<RunningNotifier> {
  const news = createNotifications(databaseUrl, systemClock, log);
  const metrics = createMetrics();
  const notifier = createNotifier({
    database,
    secretBox: createSecretBox(Buffer.alloc(32, 7), systemRandom),
    clock: systemClock,
    newId,
    random: { ...systemRandom, fraction: () => 0 },
    metrics,
    log,
    version: '1',
    publicUrl: null,
    allowedAddresses: ['127.0.0.0/8'],
    pagerDutyUrl: 'http://127.0.0.1:1/v2/enqueue',
    subscribe: (channel, onChange, onGap) => news.subscribe(channel, onChange, onGap),
    timeouts: { connectMs: 2_000, totalMs: 4_000 },
    ...over,
  });
  await news.start();
  notifier.start();
  return {
    ...notifier,
    metrics,
    async end() {
      await notifier.stop();
      await news.stop();
    },
  };
}

export async function insertTenant(database: Database): Promise<Principal> {
  const id = newId();
  await addTenant(database, id, id);
  return platformPrincipal({
    id,
    slug: id,
    name: 'Test',
    tier: 'starter',
    region: 'eu',
    status: 'active',
    timeZone: 'UTC',
  });
}

/** A warning like those about costs, with a key of its own. */
const anEvent = (over: Partial<NotificationEvent> = {}): NotificationEvent => ({
  kind: 'cost.alert.threshold',
  severity: 'warning',
  dedupeKey: newId(),
  title: 'Budget at 80 %',
  text: 'Spent to 80 %.',
  occurredAt: new Date(),
  subject: 'budget:1',
  data: { spent_usd: '80.000000000' },
  ...over,
});

type GivenChannel = Parameters<Notifier['createChannel']>[1];
type Filter = Parameters<Notifier['deliveries']>[1];

/** A database for the whole file; a tenant, a receiver and the notifiers that are started for each test. */
export function notifierSuite() {
  let test: TestDatabase | null = null;
  let receiver: Receiver | null = null;
  let tenant: Principal | null = null;
  const running = new Set<RunningNotifier>();
  const there = <T>(thing: T | null): T => {
    if (thing === null) throw new Error('only within a test');
    return thing;
  };

  beforeAll(async () => {
    test = await createTestDatabase();
  });
  afterAll(() => test?.drop());
  beforeEach(async () => {
    receiver = await startReceiver();
    tenant = await insertTenant(there(test).database);
  });
  afterEach(async () => {
    await Promise.all([...running].map((notifier) => notifier.end()));
    running.clear();
    await receiver?.stop();
    await sql`delete from tenants`.execute(there(test).database.platform);
  });

  const current = {
    get database() {
      return there(test).database;
    },
    get databaseUrl() {
      return there(test).url;
    },
    get receiver() {
      return there(receiver);
    },
    get tenant() {
      return there(tenant);
    },
  };
  const deliveries = (notifier: Notifier, over: Partial<Filter> = {}, as = current.tenant) =>
    notifier.deliveries(
      as,
      { channelId: null, state: null, eventKind: null, ...over },
      { limit: 200, after: null },
    );

  return Object.assign(current, {
    newTenant: () => insertTenant(current.database),
    async start(over: Partial<NotifierDependencies> = {}): Promise<RunningNotifier> {
      const pagerDutyUrl = `${current.receiver.url}/v2/enqueue`;
      const notifier = await startNotifier(there(test).url, current.database, { pagerDutyUrl, ...over });
      running.add(notifier);
      return notifier;
    },
    async end(notifier: RunningNotifier): Promise<void> {
      running.delete(notifier);
      await notifier.end();
    },
    /** A channel to a path of the receiver. */
    channel: (notifier: Notifier, path: string, over: Partial<GivenChannel> = {}, as = current.tenant) =>
      notifier.createChannel(as, {
        name: path,
        kind: 'webhook',
        target: `${current.receiver.url}${path}`,
        eventKinds: [],
        minSeverity: 'info',
        enabled: true,
        ...over,
      }),
    tell: (
      notifier: Notifier,
      over: Partial<NotificationEvent> = {},
      as = current.tenant,
    ): Promise<boolean> =>
      current.database.inTenant(as, (tx) => notifier.notify(tx, as.tenantId, anEvent(over))),
    deliveries,
    /** Waits until all of the tenant's deliveries are in that state. */
    inState: (notifier: Notifier, state: Filter['state']) =>
      until(async () => {
        const rows = await deliveries(notifier);
        return rows.length > 0 && rows.every((row) => row.state === state) && rows;
      }),
    /** As though the time of the next try had come for all that failed. */
    async hurry(): Promise<void> {
      await sql`update notification_deliveries set next_attempt_at = now()
        where state = 'failed' and claim is null and next_attempt_at > now()`.execute(
        current.database.platform,
      );
      await sql`select pg_notify('notifications_due', '')`.execute(current.database.platform);
    },
    receivedOn: (path: string) => current.receiver.messages.filter((message) => message.path === path),
  });
}
