import type { InstanceRow, Registration } from './instance-session.ts';

/** What people are told of instances. */

export const lockDoesNotHold =
  'The lock of this instance does not outlast a statement: DATABASE_URL leads through a pooler that hands connections ' +
  'from one transaction to the next. Point it at the server itself, or at a pooler in session mode.';

export function name(row: Pick<InstanceRow, 'host' | 'pid' | 'startedAt' | 'address'> | undefined): string {
  if (row === undefined) return 'an instance';
  const at = row.address === null ? '' : `, ${row.address}`;
  return `process ${row.pid} on ${row.host}${at}, running since ${row.startedAt.toISOString()}`;
}

/** Somebody who lives is in the way. */
export function notAlone(own: Registration, other: InstanceRow): string {
  if (own.hasRedis) {
    return (
      `Another Gatehouse without Redis serves from this database (${name(other)}); together with it every limit would be ` +
      'multiplied. Stop it, or set its REDIS_URL to the Redis of this one; then start this one again.'
    );
  }
  return (
    `Another Gatehouse serves from this database (${name(other)}), and this one has no Redis to share limits, budgets and ` +
    'caches with it; every limit would be multiplied. Set REDIS_URL, to the same Redis for both, or stop the other one.'
  );
}

/** Somebody holds the lock, and does not show that he lives. */
export function lockHeld(own: Registration, other: InstanceRow | undefined): string {
  const who =
    other === undefined ? 'A session of the database' : `A Gatehouse that says nothing (${name(other)})`;
  const redis = own.hasRedis ? '' : ' With REDIS_URL set for all, they may run beside each other.';
  return (
    `${who} still holds the lock on this database. If it runs, stop it. If its machine is gone, the database server ends ` +
    `its session in time; to do it now, run as the role of DATABASE_URL: ${endSessions}.${redis}`
  );
}

const endSessions =
  "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1196705640 AND objid = 0";

/** Whoever lives has a copy of our directory. */
export function samePlace(other: InstanceRow): string {
  return (
    `This data directory is a copy of the one that another Gatehouse serves from (${name(other)}), and each needs its own. ` +
    'Set GATEHOUSE_DATA_DIR to an empty directory; what is in the database is there for both.'
  );
}

export function otherRedis(other: InstanceRow): string {
  return (
    `Another Gatehouse on this database (${name(other)}) uses another Redis server, or another database of it, than this ` +
    'one; every limit would be multiplied. Give all of them the same REDIS_URL.'
  );
}

/** The lock was lost with its connection, and somebody else has it now. */
export function shutOut(own: Registration, other: InstanceRow | undefined): string {
  const who = other === undefined ? 'another Gatehouse' : `another Gatehouse (${name(other)})`;
  const redis = own.hasRedis ? 'that one has no Redis' : 'this one has no Redis';
  return (
    `While this instance had no connection to its database, ${who} took its place there, and ${redis}. ` +
    'This one takes no calls until the other has ended.'
  );
}
