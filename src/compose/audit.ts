import { hostname } from 'node:os';
import {
  createAudit,
  createAuditForwarding,
  createAuditStore,
  createSequencer,
  createSequencerStore,
} from '../audit/index.ts';
import {
  createAddressGuard,
  createGuardedPost,
  newSigningSecret,
  signedHeaders,
} from '../notifications/index.ts';
import { createS3Objects } from '../platform/s3-objects.ts';
import type { Platform } from './platform.ts';
import type { SecretsSection } from './secrets.ts';

/** A batch of the audit log is larger than a notification. */
const forwardingTimeouts = { connectMs: 3_000, totalMs: 20_000 } as const;

export type AuditSection = ReturnType<typeof composeAudit>;

/** What changes is told by the database itself, in the transaction that changes it; here it is put in order and read. */
export function composeAudit(platform: Platform, { secretBox, references }: SecretsSection) {
  const { config, database, clock, newId, random, metrics, log, version, s3Drafts } = platform;
  const sequencer = createSequencer({
    store: createSequencerStore(database),
    secretBox,
    clock,
    log,
    retentionDays: config.auditDays,
  });
  const audit = createAudit({ store: createAuditStore(database), sequencer, clock });
  const guard = createAddressGuard(config.notifications.allowedAddresses);
  const auditForwarding = createAuditForwarding({
    database,
    secretBox,
    references,
    clock,
    newId,
    random,
    metrics,
    log,
    host: hostname(),
    openBucket: (place) => createS3Objects(place, s3Drafts, newId),
    post: createGuardedPost({
      guard,
      clock,
      timeouts: forwardingTimeouts,
      userAgent: `Gatehouse/${version}`,
    }),
    signed: signedHeaders,
    objectionTo: guard.objectionTo,
    newSigningSecret: () => newSigningSecret(random),
  });
  return { sequencer, audit, auditForwarding };
}
