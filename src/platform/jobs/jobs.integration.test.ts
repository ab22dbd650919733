import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startChild, until } from '../../../test/harness/child.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { countingJob, instanceOf } from '../../../test/harness/jobs-process.ts';
import { systemClock } from '../clock.ts';
import { expectLosses } from '../database/expect-losses.ts';
import { createLog } from '../log.ts';
import { createJobs, type JobQueue, type Jobs } from './index.ts';

let db: TestDatabase;
let pool: pg.Pool;

beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.url });
  // The database is dropped at the end, perhaps before the last connection has quite closed.
  expectLosses(pool, () => {});
  await pool.query('create table work_log (id serial, name text, step text)');
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});
beforeEach(() => pool.query('truncate work_log'));

const build = (): Jobs =>
  createJobs({ url: db.url, executorId: 'test', clock: systemClock, log: createLog('silent') });

const stepsOf = async (name: string): Promise<string[]> =>
  (await pool.query('select step from work_log where name = $1 order by id', [name])).rows.map((r) => r.step);

async function ended(queue: JobQueue<never>, id: string): Promise<string> {
  return until(async () => {
    const state = (await queue.states([id])).get(id);
    return state !== 'waiting' && state !== 'running' && state;
  });
}

describe('jobs', () => {
  test('run once for each id, step by step, and can be forgotten and run again', async () => {
    const jobs = build();
    const queue = jobs.register(countingJob(pool, async () => {}));
    await jobs.start();
    try {
      await Promise.all(Array.from({ length: 5 }, () => queue.enqueue('count:a', 'p', { name: 'a' })));
      expect(await ended(queue, 'count:a')).toBe('done');
      await queue.enqueue('count:a', 'p', { name: 'a' });
      await queue.enqueue('count:b', 'p', { name: 'b' });
      expect(await ended(queue, 'count:b')).toBe('done');
      expect(await stepsOf('a')).toEqual(['one', 'two', 'three of 3']);
      expect((await queue.states(['count:unknown'])).size).toBe(0);

      await queue.forget('count:a');
      expect((await queue.states(['count:a'])).size).toBe(0);
      await queue.enqueue('count:a', 'p', { name: 'a' });
      expect(await ended(queue, 'count:a')).toBe('done');
      expect(await stepsOf('a')).toHaveLength(6);
    } finally {
      await jobs.stop(5_000);
    }
  });

  test('a step that fails is tried again while that is worthwhile; a job that throws has failed', async () => {
    const jobs = build();
    const tries = { passing: 0, hopeless: 0, lasting: 0 };
    const queue = jobs.register<{ readonly kind: keyof typeof tries }>({
      name: 'flaky',
      concurrency: 3,
      concurrencyPerPartition: 3,
      maxRecoveries: 5,
      run: async ({ kind }, step) => {
        await step(
          'try',
          async () => {
            tries[kind] += 1;
            if (kind === 'passing' && tries.passing === 3) return null;
            throw new Error(kind);
          },
          {
            attempts: 4,
            firstDelayMs: 1,
            worthwhile: (error) => (error as Error).message !== 'hopeless',
          },
        );
      },
    });
    await jobs.start();
    try {
      for (const kind of ['passing', 'hopeless', 'lasting'] as const)
        await queue.enqueue(kind, 'p', { kind });
      expect(await ended(queue, 'passing')).toBe('done');
      expect(await ended(queue, 'hopeless')).toBe('failed');
      expect(await ended(queue, 'lasting')).toBe('failed');
      expect(tries).toEqual({ passing: 3, hopeless: 1, lasting: 4 });
    } finally {
      await jobs.stop(5_000);
    }
  });

  test('no more run at once than was said, and a busy partition leaves room for another', async () => {
    const jobs = build();
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const running = { busy: 0, quiet: 0 };
    const queue = jobs.register<{ readonly who: keyof typeof running }>({
      name: 'held',
      concurrency: 3,
      concurrencyPerPartition: 2,
      maxRecoveries: 5,
      run: async ({ who }, step) => {
        await step('hold', async () => {
          running[who] += 1;
          await gate;
          return null;
        });
      },
    });
    await jobs.start();
    try {
      const ids = Array.from({ length: 10 }, (_, i) => `held:${i}`);
      for (const id of ids) await queue.enqueue(id, 'busy', { who: 'busy' });
      await until(async () => running.busy === 2);
      await queue.enqueue('held:quiet', 'quiet', { who: 'quiet' });
      await until(async () => running.quiet === 1);
      const states = [...(await queue.states(ids)).values()];
      expect(states.filter((state) => state === 'running')).toHaveLength(2);
      expect(running.busy).toBe(2);
      release();
      for (const id of ids) expect(await ended(queue, id)).toBe('done');
      expect(running.busy).toBe(10);
    } finally {
      release();
      await jobs.stop(5_000);
    }
  });

  test('a job whose connections are lost goes on when the database is there again', async () => {
    const jobs = build();
    const queue = jobs.register<{ readonly name: string }>({
      name: 'cut off',
      concurrency: 1,
      concurrencyPerPartition: 1,
      maxRecoveries: 5,
      run: async ({ name }, step) => {
        await step('cut', async () => {
          await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
            where application_name = 'gatehouse jobs' and datname = current_database()`);
          // So that the step's result is written before anyone has heard of the loss.
          const until = performance.now() + 100;
          while (performance.now() < until);
          return null;
        });
        await step('note', async () => {
          await pool.query('insert into work_log (name, step) values ($1, $2)', [name, 'whole']);
          return null;
        });
      },
    });
    await jobs.start();
    try {
      await queue.enqueue('cut', 'p', { name: 'cut' });
      expect(await ended(queue, 'cut')).toBe('done');
      expect(await stepsOf('cut')).toEqual(['whole']);
    } finally {
      await jobs.stop(5_000);
    }
  });

  test('a job that was taken off its queue and never begun is taken up while the process lives', async () => {
    const jobs = createJobs({
      url: db.url,
      executorId: 'test',
      clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 50), signal) },
      log: createLog('silent'),
    });
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const begun: string[] = [];
    const queue = jobs.register<{ readonly name: string }>({
      name: 'one by one',
      concurrency: 1,
      concurrencyPerPartition: 1,
      maxRecoveries: 5,
      run: async ({ name }, step) => {
        await step('note', async () => {
          begun.push(name);
          await gate;
          return null;
        });
      },
    });
    await jobs.start();
    try {
      await queue.enqueue('busy', 'p', { name: 'busy' });
      await until(async () => begun.length === 1);
      await queue.enqueue('lost', 'p', { name: 'lost' });
      // What the database holds when it went away before it could say whom it had chosen.
      await pool.query(`update dbos.workflow_status set status = 'PENDING', executor_id = 'test',
        started_at_epoch_ms = 1 where workflow_uuid = 'lost'`);
      release();
      expect(await ended(queue, 'busy')).toBe('done');
      expect(await ended(queue, 'lost')).toBe('done');
      expect(begun).toEqual(['busy', 'lost']);
    } finally {
      release();
      await jobs.stop(5_000);
    }
  });

  test('killed in the middle of a step, the next process goes on there at once', async () => {
    const child = startChild(
      fileURLToPath(new URL('../../../test/harness/jobs-process.ts', import.meta.url)),
      [db.url],
    );
    await child.said('in the second step');
    await child.kill9();
    expect(await stepsOf('killed')).toEqual(['one', 'two']);

    const jobs = build();
    const queue = jobs.register(countingJob(pool, async () => {}));
    await jobs.start();
    try {
      expect(await ended(queue, 'count:killed')).toBe('done');
      expect(await stepsOf('killed')).toEqual(['one', 'two', 'two', 'three of 3']);
    } finally {
      await jobs.stop(5_000);
    }
  });

  test('killed beside others that live, its job goes on at one of them, once', async () => {
    const program = fileURLToPath(new URL('../../../test/harness/jobs-process.ts', import.meta.url));
    const id = randomUUID();
    const killed = startChild(program, [db.url, randomUUID(), 'orphan']);
    await killed.said('in the second step');
    const helper = startChild(program, [db.url, randomUUID(), 'helper']);
    await helper.said('at work');
    const instances = instanceOf(db.url, id);
    await instances.start();
    const jobs = createJobs({
      url: db.url,
      executorId: id,
      living: instances.live,
      clock: systemClock,
      log: createLog('silent'),
    });
    const queue = jobs.register(countingJob(pool, async () => {}));
    await jobs.start();
    try {
      // Others that look for what was left find that it is still being worked on.
      await until(async () => instances.count() === 3);
      expect(await stepsOf('orphan')).toEqual(['one', 'two']);
      await killed.kill9();
      expect(await ended(queue, 'count:orphan')).toBe('done');
      expect(await stepsOf('orphan')).toEqual(['one', 'two', 'two', 'three of 3']);
    } finally {
      await jobs.stop(5_000);
      await instances.stop();
      await helper.kill9();
    }
  });

  test('what stop did not wait for is taken up at the next start', async () => {
    const first = build();
    const held = new Promise<void>(() => {});
    const waiting = first.register(countingJob(pool, () => held));
    await first.start();
    await waiting.enqueue('count:left', 'p', { name: 'left' });
    await until(async () => (await stepsOf('left')).length === 2);
    await first.stop(1);

    const second = build();
    const queue = second.register(countingJob(pool, async () => {}));
    await second.start();
    try {
      expect(await ended(queue, 'count:left')).toBe('done');
      expect((await stepsOf('left')).at(-1)).toBe('three of 3');
    } finally {
      await second.stop(5_000);
    }
  });

  test('one runner at a time in a process, and none before the start', async () => {
    const [one, other] = [build(), build()];
    const queue = one.register(countingJob(pool, async () => {}));
    expect(() => queue.enqueue('count:early', 'p', { name: 'early' })).toThrow(/not at work/);
    await one.start();
    try {
      await expect(other.start()).rejects.toThrow(/Another job runner/);
    } finally {
      await one.stop(1_000);
    }
  });

  test('the application role sees nothing of it', async () => {
    const nobody = { tenantId: '00000000-0000-7000-8000-000000000000', readerTokens: [] };
    const asApplication = (query: string) => db.database.inTenant(nobody, (tx) => sql.raw(query).execute(tx));
    const { rows } = await pool.query<{ name: string }>(
      `select table_name as name from information_schema.tables where table_schema = 'dbos'`,
    );
    expect(rows.map((row) => row.name)).toContain('workflow_status');
    for (const { name } of rows) {
      await expect(asApplication(`select * from dbos.${name}`)).rejects.toThrow(/permission denied/);
    }
    const { rows: grants } = await pool.query(
      `select has_schema_privilege('gatehouse_app', 'dbos', 'usage') as usage,
         (select count(*)::int from pg_proc p join pg_namespace n on n.oid = p.pronamespace
           where n.nspname = 'dbos' and p.prosecdef) as definers`,
    );
    expect(grants[0]).toEqual({ usage: false, definers: 0 });
  });
});
