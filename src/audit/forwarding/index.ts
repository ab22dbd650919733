import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import type { NewId } from '../../platform/ids.ts';
import { type SealedColumn, textColumn } from '../../platform/keyring/sealed-columns.ts';
import type { Log } from '../../platform/log.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { Random } from '../../platform/random.ts';
import type { Secrets } from '../../platform/secret-box.ts';
import {
  createGivenSecrets,
  noSecretReferences,
  type SecretReferences,
} from '../../platform/secret-references/index.ts';
import type { OpenBucket } from './deliver-s3.ts';
import type { WebhookWays } from './deliver-webhook.ts';
import { createForwarder, type ForwarderBounds } from './forwarder.ts';
import { createForwarding, destinationPurpose, wayToDestination } from './forwarding.service.ts';
import { createForwardingStore } from './forwarding.store.ts';

export { forwardingRoutes } from './forwarding.routes.ts';
export type { Forwarding } from './forwarding.service.ts';

export interface AuditForwardingDependencies {
  readonly database: Pick<Database, 'platform'>;
  readonly secretBox: Secrets;
  /** Absent: only secrets themselves are taken. */
  readonly references?: SecretReferences;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: Pick<Random, 'fraction'>;
  readonly metrics: Metrics;
  readonly log: Log;
  /** This machine's name, as syslog carries it. */
  readonly host: string;
  readonly openBucket: OpenBucket;
  readonly post: WebhookWays['post'];
  readonly signed: WebhookWays['signed'];
  readonly objectionTo: (url: URL) => string | null;
  readonly newSigningSecret: () => string;
  readonly bounds?: ForwarderBounds;
}

/** Forwarding the log to syslog, webhooks and S3 (AUD-3). */
export function createAuditForwarding(deps: AuditForwardingDependencies) {
  const store = createForwardingStore(deps.database);
  const { post, signed, clock, references = noSecretReferences } = deps;
  const secrets = createGivenSecrets(deps.secretBox, references);
  const wayTo = wayToDestination({
    ...deps,
    secrets,
    references,
    webhook: { post, signed, now: () => clock.now() },
  });
  const forwarder = createForwarder({ ...deps, store, wayTo });
  return { ...createForwarding({ ...deps, secrets, store }), start: forwarder.start, stop: forwarder.stop };
}

/** The secrets of destinations. */
export function sealedAuditDestinations(database: Pick<Database, 'platform'>): SealedColumn {
  return textColumn(database, {
    table: 'audit_destinations',
    idColumn: 'name',
    column: 'sealed',
    purpose: (name) => destinationPurpose(name),
  });
}
