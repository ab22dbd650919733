import { createNotifier } from '../notifications/index.ts';
import type { Platform } from './platform.ts';
import type { SecretsSection } from './secrets.ts';

/** What tenants are told of, wherever they wish to be told. */
export function composeNotifications(platform: Platform, { secretBox, references }: SecretsSection) {
  const { config, database, notifications, clock, newId, random, metrics, log, version } = platform;
  return createNotifier({
    database,
    secretBox,
    references,
    clock,
    newId,
    random,
    metrics,
    log,
    version,
    publicUrl: config.publicUrl,
    ...config.notifications,
    subscribe: (channel, onChange, onGap) => notifications.subscribe(channel, onChange, onGap),
  });
}
