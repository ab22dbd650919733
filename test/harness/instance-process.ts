/**
 * A process to be killed or stopped: `node instance-process.ts <database url> <id> [<redis url>]`. Takes its place among
 * the instances of the database, says `live <ids>` whenever they change, or `refused <why>`.
 */
import { systemClock } from '../../src/platform/clock.ts';
import { createInstances } from '../../src/platform/instances.ts';
import { createLog } from '../../src/platform/log.ts';
import { createRedis } from '../../src/platform/redis.ts';

const [url = '', id = '', redisUrl] = process.argv.slice(2);
const log = createLog('error');
const redis = redisUrl === undefined ? null : createRedis({ url: redisUrl, clock: systemClock, log });
await redis?.start();
const instances = createInstances({
  url,
  id,
  place: id,
  version: 'test',
  address: null,
  redis,
  clock: systemClock,
  log,
});
try {
  await instances.start();
} catch (error) {
  process.stdout.write(`refused ${(error as Error).message}\n`);
  process.exit(1);
}
let said = '';
for (;;) {
  const now = [...instances.live()].sort().join(' ');
  if (now !== said) process.stdout.write(`live ${now}\n`);
  said = now;
  await systemClock.sleep(50);
}
