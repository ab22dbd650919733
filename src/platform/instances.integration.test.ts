import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Child, startChild, until } from '../../test/harness/child.ts';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { redisIsInstalled, redisMissing, startRedis, type TestRedis } from '../../test/harness/redis.ts';
import { systemClock } from './clock.ts';
import { createInstances, type Instances } from './instances.ts';
import { createLog } from './log.ts';
import { createRedis, type RedisLink } from './redis.ts';

const program = fileURLToPath(new URL('../../test/harness/instance-process.ts', import.meta.url));

let db: TestDatabase;
const open: { stop(): Promise<unknown> }[] = [];
const children: Child[] = [];

beforeEach(async () => {
  db = await createTestDatabase();
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill('SIGCONT');
    await child.kill9();
  }
  for (const one of open.splice(0).reverse()) await one.stop();
  await db.drop();
});

const build = (
  redis: RedisLink | null,
  more: { patienceMs?: number; place?: string } = {},
): Instances & { id: string } => {
  const id = randomUUID();
  const built = createInstances({
    url: db.url,
    id,
    place: id,
    version: 'test',
    address: 'http://127.0.0.1:1',
    redis,
    clock: systemClock,
    log: createLog('silent'),
    ...more,
  });
  open.push(built);
  return { ...built, id };
};

const startedChild = (redisUrl?: string): Child & { id: string } => {
  const id = randomUUID();
  const child = startChild(program, [db.url, id, ...(redisUrl === undefined ? [] : [redisUrl])]);
  children.push(child);
  return { ...child, id };
};

const endSessions = () =>
  sql`select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'gatehouse instance' and datname = current_database()`.execute(
    db.database.platform,
  );

describe('an instance without Redis', () => {
  it('is alone: another is refused, and told who is there and what to do', async () => {
    const first = build(null);
    await first.start();
    await expect(build(null).start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(
        new RegExp(`process ${process.pid} on .*http://127.0.0.1:1, running since .*Set REDIS_URL.*or stop`),
      ),
    });
    expect(first.live()).toEqual([first.id]);
  });

  it('starts at once where another was killed', async () => {
    const killed = startedChild();
    await killed.said(`live ${killed.id}`);
    await killed.kill9();
    const next = build(null);
    await next.start();
    expect(next.live()).toEqual([next.id]);
  });

  it('is refused beside one that hangs, whose lock nobody can take', async () => {
    const hanging = startedChild();
    await hanging.said(`live ${hanging.id}`);
    hanging.process.kill('SIGSTOP');
    await expect(build(null, { patienceMs: 1_000 }).start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(
        new RegExp(`says nothing \\(process ${hanging.process.pid} .*pg_terminate_backend`),
      ),
    });
  });

  it('of two that start together, one serves', async () => {
    const both = [build(null), build(null)];
    const results = await Promise.allSettled(both.map((one) => one.start()));
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('takes its lock again when its connection was lost', async () => {
    const one = build(null);
    await one.start();
    await endSessions();
    await until(async () => {
      const { rows } = await sql<{ id: string }>`select id from live_instances`.execute(db.database.platform);
      return rows.some((row) => row.id === one.id);
    });
    expect(one.problem()).toBeNull();
    await expect(build(null).start()).rejects.toMatchObject({ code: 'config_invalid' });
  });

  it('takes no calls while another took its place, and takes them again afterwards', async () => {
    const one = build(null);
    await one.start();
    const stranger = new pg.Client({ connectionString: db.url });
    await stranger.connect();
    try {
      // Who waits for a lock has it before anybody who comes later.
      const taken = stranger.query('select pg_advisory_lock(1196705640, 0)');
      await until(async () => {
        const { rows } = await sql`select from pg_locks where locktype = 'advisory' and not granted`.execute(
          db.database.platform,
        );
        return rows.length > 0;
      });
      await endSessions();
      await taken;
      expect(await until(async () => one.problem())).toMatch(/took its place.*takes no calls/);
    } finally {
      await stranger.end();
    }
    await until(async () => one.problem() === null);
    expect(one.live()).toEqual([one.id]);
  });
});

describe.skipIf(!redisIsInstalled)(redisIsInstalled ? 'instances with Redis' : redisMissing, () => {
  let server: TestRedis;
  const link = async (url: string): Promise<RedisLink> => {
    const redis = createRedis({ url, clock: systemClock, log: createLog('silent') });
    await redis.start();
    open.push(redis);
    return redis;
  };
  beforeEach(async () => {
    server = await startRedis();
    open.push(server);
  });

  it('know each other, and hear of each that ends', async () => {
    const one = build(await link(server.url));
    const left: string[] = [];
    one.onLeft((id) => left.push(id));
    await one.start();
    const two = build(await link(server.url));
    await two.start();
    expect([...two.live()].sort()).toEqual([one.id, two.id].sort());
    await until(async () => one.count() === 2);

    const killed = startedChild(server.url);
    await until(async () => one.live().includes(killed.id) && two.live().includes(killed.id));
    await killed.kill9();
    await until(async () => !one.live().includes(killed.id) && !two.live().includes(killed.id));
    expect(left).toEqual([killed.id]);

    await two.stop();
    await until(async () => one.count() === 1);
    expect(left).toEqual([killed.id, two.id]);
  });

  it('keep company only with their like', async () => {
    const lonely = build(null);
    await lonely.start();
    await expect(build(await link(server.url)).start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('Another Gatehouse without Redis'),
    });
    await lonely.stop();
    const one = build(await link(server.url));
    await one.start();
    await expect(build(null).start()).rejects.toMatchObject({ message: expect.stringContaining('no Redis') });
  });

  it('refuse one on a copy of the data directory of one of them', async () => {
    const one = build(await link(server.url));
    await one.start();
    await expect(build(await link(server.url), { place: one.id }).start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('is a copy'),
    });
    await until(async () => one.count() === 1);
  });

  it('refuse one that uses another Redis', async () => {
    const other = await startRedis();
    open.push(other);
    await build(await link(server.url)).start();
    await expect(build(await link(other.url)).start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('the same REDIS_URL'),
    });
  });

  it('do not take a Redis that was emptied for another one', async () => {
    const one = build(await link(server.url));
    await one.start();
    await server.kill();
    await server.startAgain();
    const two = build(await link(server.url));
    await two.start();
    await until(async () => one.count() === 2);
  });

  it('are not thought to be gone when all connections were lost at once', async () => {
    const one = build(await link(server.url));
    const two = build(await link(server.url));
    await one.start();
    await two.start();
    await until(async () => one.count() === 2);
    const left: string[] = [];
    one.onLeft((id) => left.push(id));
    two.onLeft((id) => left.push(id));
    const pids = async () => {
      const { rows } = await sql<{ session_pid: number }>`select session_pid from live_instances`.execute(
        db.database.platform,
      );
      return rows.map((row) => row.session_pid).sort();
    };
    const before = await pids();
    await endSessions();
    await until(async () => {
      const now = await pids();
      return now.length === 2 && now.every((pid) => !before.includes(pid));
    });
    expect(left).toEqual([]);
    expect(one.count()).toBe(2);
  });
});
