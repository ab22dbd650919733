import type { InstanceSeen } from './database-facts.ts';
import type { Facts } from './facts.ts';
import { type Check, type Finding, ok, problem, skipped } from './finding.ts';

export const instancesCheck: Check<Facts> = {
  name: 'instances',
  run: async (facts) => {
    if (!facts.config) return [skipped('instances', 'the configuration comes first')];
    if (facts.config.databaseUrl === null) {
      return [ok('instances', 'the embedded database serves this one alone')];
    }
    const database = await facts.database();
    if (database.state !== 'reached') return [skipped('instances', 'the database comes first')];
    return instancesFindings(database.instances, facts.config.redisUrl !== null);
  },
};

/** @param seen those that serve from the database now; this one may be among them. */
export function instancesFindings(seen: readonly InstanceSeen[], hasRedis: boolean): Finding[] {
  const names = seen.map((one) => `process ${one.pid} on ${one.host}`).join(', ');
  if (seen.length === 0) return [ok('instances', 'none serves from this database now')];
  const lonely = seen.filter((one) => !one.hasRedis);
  if (hasRedis && lonely.length > 0) {
    const detail = `${names} serves from this database without Redis, and this one has it`;
    return [
      problem('instances', detail, 'Stop that one, or set its REDIS_URL: otherwise this one does not start.'),
    ];
  }
  if (!hasRedis && seen.some((one) => one.hasRedis)) {
    const detail = `${names} ${seen.length === 1 ? 'serves' : 'serve'} from this database with Redis, and this one has none`;
    return [
      problem('instances', detail, 'Set REDIS_URL to the same Redis: otherwise this one does not start.'),
    ];
  }
  if (!hasRedis) {
    return [ok('instances', `${names} serves from this database; without Redis there can be no second`)];
  }
  return [ok('instances', `${seen.length} on this database: ${names}`)];
}
