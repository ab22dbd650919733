/**
 * A process to be killed: `node jobs-process.ts <database url> [<instance id> <name>]`. Runs the job `count` until its
 * second step, says so, and stays there; under the name `helper` it begins none of its own and runs what it takes up to its end. With
 * an id it is one of several instances.
 */
import pg from 'pg';
import { systemClock } from '../../src/platform/clock.ts';
import { createInstances, type Instances } from '../../src/platform/instances.ts';
import { createJobs, type JobDefinition } from '../../src/platform/jobs/index.ts';
import { createLog } from '../../src/platform/log.ts';

/** Three steps, each leaving a line in `work_log` when it begins. */
export function countingJob(
  pool: pg.Pool,
  inSecondStep: () => Promise<void>,
): JobDefinition<{ readonly name: string }> {
  const log = (name: string, step: string) =>
    pool.query('insert into work_log (name, step) values ($1, $2)', [name, step]);
  return {
    name: 'count',
    concurrency: 4,
    concurrencyPerPartition: 2,
    maxRecoveries: 5,
    async run({ name }, step) {
      const one = await step('one', async () => {
        await log(name, 'one');
        return 1;
      });
      const two = await step('two', async () => {
        await log(name, 'two');
        await inSecondStep();
        return one + 1;
      });
      await step('three', async () => {
        await log(name, `three of ${two + 1}`);
        return null;
      });
    },
  };
}

/** As if it had Redis: what jobs do with several instances has nothing to do with it. */
export function instanceOf(url: string, id: string): Instances {
  return createInstances({
    url,
    id,
    place: id,
    version: 'test',
    address: null,
    redis: { command: async () => null },
    clock: systemClock,
    log: createLog('error'),
  });
}

if (import.meta.filename === process.argv[1]) {
  const [url = '', id, name = 'killed'] = process.argv.slice(2);
  const log = createLog('error');
  const instances = id === undefined ? null : instanceOf(url, id);
  await instances?.start();
  const jobs = createJobs({
    url,
    executorId: id ?? 'test',
    ...(instances === null ? {} : { living: instances.live }),
    clock: systemClock,
    log,
  });
  const queue = jobs.register(
    countingJob(new pg.Pool({ connectionString: url }), async () => {
      process.stdout.write('in the second step\n');
      if (name !== 'helper') await new Promise(() => {});
    }),
  );
  await jobs.start();
  process.stdout.write('at work\n');
  if (name !== 'helper') await queue.enqueue(`count:${name}`, 'p', { name });
}
