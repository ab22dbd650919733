/**
 * Forwarding on a database of a test; and a process to be killed: `node audit-forwarding.ts <database url> <master key, base64>`.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AuditForwardingDependencies, createAuditForwarding } from '../../src/audit/forwarding/index.ts';
import { platformLog } from '../../src/audit/platform-log.ts';
import {
  createAddressGuard,
  createGuardedPost,
  newSigningSecret,
  signedHeaders,
} from '../../src/notifications/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createDatabase, type Database } from '../../src/platform/database/database.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLog } from '../../src/platform/log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createS3Objects } from '../../src/platform/s3-objects.ts';
import { createSecretBox } from '../../src/platform/secret-box.ts';

const newId = createIds(systemClock, systemRandom);
const owner = { isOwner: true, tenantId: platformLog.tenantId };

/** @param over what is to be otherwise. */
export function buildForwarding(
  database: Pick<Database, 'platform'>,
  masterKey: Buffer,
  over: Partial<AuditForwardingDependencies> = {},
) {
  const guard = createAddressGuard(['127.0.0.1']);
  const metrics = createMetrics();
  const forwarding = createAuditForwarding({
    database,
    secretBox: createSecretBox(masterKey, systemRandom),
    clock: systemClock,
    newId,
    random: systemRandom,
    metrics,
    log: createLog('silent'),
    host: 'gatehouse-1.test',
    openBucket: (place) => createS3Objects(place, mkdtempSync(join(tmpdir(), 'gatehouse-forward-')), newId),
    post: createGuardedPost({
      guard,
      clock: systemClock,
      timeouts: { connectMs: 500, totalMs: 2_000 },
      userAgent: 'Gatehouse/test',
    }),
    signed: signedHeaders,
    objectionTo: guard.objectionTo,
    newSigningSecret: () => newSigningSecret(systemRandom),
    bounds: { lookEveryMs: 50, claimMs: 1_500, batchMs: 3_000 },
    ...over,
  });
  type Put = typeof forwarding.put;
  const put = (name: string, given: Parameters<Put>[1], giver: Parameters<Put>[2] = owner) =>
    forwarding.put(name, given, giver);
  return { ...forwarding, put, metrics };
}

if (import.meta.filename === process.argv[1]) {
  const database = createDatabase({
    url: process.argv[2] ?? '',
    pool: { min: 0, max: 2 },
    statementTimeoutMs: 10_000,
    log: createLog('error'),
    nowMs: () => performance.now(),
  });
  buildForwarding(database, Buffer.from(process.argv[3] ?? '', 'base64')).start();
  process.stdout.write('forwarding\n');
}
