/**
 * A process to be killed: `node jobs-process.ts <database url>`. Runs the job `count` until its second step, says so, and
 * stays there.
 */
import pg from 'pg';
import { systemClock } from '../../src/platform/clock.ts';
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

if (import.meta.filename === process.argv[1]) {
  const url = process.argv[2] ?? '';
  const jobs = createJobs({ url, executorId: 'test', clock: systemClock, log: createLog('error') });
  const queue = jobs.register(
    countingJob(new pg.Pool({ connectionString: url }), async () => {
      process.stdout.write('in the second step\n');
      await new Promise(() => {});
    }),
  );
  await jobs.start();
  await queue.enqueue('count:killed', 'p', { name: 'killed' });
}
