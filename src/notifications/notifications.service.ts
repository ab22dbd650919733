import type { Clock } from '../platform/clock.ts';
import type { Database } from '../platform/database/database.ts';
import type { NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Secrets } from '../platform/secret-box.ts';
import { createGivenSecrets, type SecretReferences } from '../platform/secret-references/index.ts';
import { createAddressGuard } from './address-guard.ts';
import { createChannelsStore } from './channels.store.ts';
import { createChannels } from './channels.ts';
import { createDeliveriesStore } from './deliveries.store.ts';
import { createDelivering, type DeliveringBounds } from './delivering.ts';
import { dueNews } from './events.store.ts';
import { createGuardedPost, type PostTimeouts } from './guarded-post.ts';
import { createNotify } from './notify.ts';
import { createRetention } from './retention.ts';

export interface NotifierDependencies {
  readonly database: Database;
  readonly secretBox: Secrets;
  /** Absent: only secrets themselves are taken. */
  readonly references?: SecretReferences;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly version: string;
  /** Where people find this installation; null when nobody said. */
  readonly publicUrl: string | null;
  /** Hosts, addresses and ranges that may be used beside the public internet over HTTPS. */
  readonly allowedAddresses: readonly string[];
  readonly pagerDutyUrl: string;
  /** Hears what was committed to a channel of the database, and of gaps in hearing. */
  readonly subscribe: (channel: string, onChange: () => void, onGap: () => void) => void;
  readonly timeouts?: PostTimeouts;
  readonly bounds?: DeliveringBounds;
}

export type Notifier = ReturnType<typeof createNotifier>;

const usualTimeouts: PostTimeouts = { connectMs: 3_000, totalMs: 10_000 };

/** Tells tenants of events: by `notify` in the transaction of the event, then by webhook, Slack or PagerDuty. */
export function createNotifier(deps: NotifierDependencies) {
  const { database, clock, newId, random, metrics, log } = deps;
  const secrets = createGivenSecrets(deps.secretBox, deps.references);
  const guard = createAddressGuard(deps.allowedAddresses);
  const post = createGuardedPost({
    guard,
    clock,
    timeouts: deps.timeouts ?? usualTimeouts,
    userAgent: `Gatehouse/${deps.version}`,
  });
  const store = createDeliveriesStore(database);
  const delivering = createDelivering({
    store,
    post,
    secretBox: secrets,
    teller: { publicUrl: deps.publicUrl, pagerDutyUrl: deps.pagerDutyUrl },
    clock,
    newId,
    random,
    metrics,
    log,
    subscribe: (onChange, onGap) => deps.subscribe(dueNews, onChange, onGap),
    ...(deps.bounds ? { bounds: deps.bounds } : {}),
  });
  const retention = createRetention({ store, clock, log });

  return {
    notify: createNotify({ clock, newId }),
    ...createChannels({ store: createChannelsStore(database), guard, secrets, clock, newId, random }),
    start() {
      delivering.start();
      retention.start();
    },
    async stop() {
      await Promise.all([delivering.stop(), retention.stop()]);
    },
  };
}
