import { DBOS, type DBOSConfig } from '@dbos-inc/dbos-sdk';
import pg from 'pg';
import type { Clock } from '../clock.ts';
import { expectLosses } from '../database/expect-losses.ts';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { forgetFinishedJobs, type JobState, jobStates } from './job-records.ts';
import { createLostJobs, type LostJobs } from './lost-jobs.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { takeUpOrphanedJobs } from './orphaned-jobs.ts';

/** What a finished step hands on, and so what is stored of it: ids and figures, never content. */
export type StepResult = string | number | boolean | null | { readonly [name: string]: StepResult };

export interface StepRetries {
  /** Tries in all, the first included. */
  readonly attempts: number;
  /** Milliseconds before the second try; doubled for each one after. */
  readonly firstDelayMs: number;
  /** Whether trying again can help; without it, every failure is tried again. */
  readonly worthwhile?: (error: unknown) => boolean;
}

/**
 * Runs one step of a job. Once its result is recorded the step never runs again for that job; killed before that, it
 * runs again from its beginning, so whatever it does must bear repeating.
 */
export type RunStep = <Result extends StepResult>(
  name: string,
  work: () => Promise<Result>,
  retries?: StepRetries,
) => Promise<Result>;

export interface JobDefinition<Input extends StepResult> {
  /** Names the job and its queue; stays the same for good, because stored work refers to it. */
  readonly name: string;
  /**
   * Calls its steps in an order that depends on nothing but their results: after a crash it is called again, and recorded
   * steps return what they returned.
   */
  readonly run: (input: Input, step: RunStep) => Promise<void>;
  /** How many run at once in this process. */
  readonly concurrency: number;
  /** How many of one partition run at once in this process, so that one with much work leaves room for the others. */
  readonly concurrencyPerPartition: number;
  /** How often a job that was running when the process ended is taken up again before it is given up. */
  readonly maxRecoveries: number;
}

export interface JobQueue<Input extends StepResult> {
  /**
   * Work under this id is started once: a second call with an id that is known changes nothing. Recorded when this
   * resolves. @param partition the fair share it counts against. @param place the only place where it can be done, because
   * what it needs is there; it waits until somebody serves from there. Absent: any.
   */
  enqueue(id: string, partition: string, input: Input, place?: string | null): Promise<void>;
  /** The state of each job that is known; finished ones are forgotten after an hour. At most 500 ids. */
  states(ids: readonly string[]): Promise<ReadonlyMap<string, JobState>>;
  /** Drops the record of a finished job, so that its id can be enqueued again. */
  forget(id: string): Promise<void>;
}

export interface Jobs {
  /** Before `start`. */
  register<Input extends StepResult>(definition: JobDefinition<Input>): JobQueue<Input>;
  /** Takes up at once what was running when processes that are no more ended, then works off the queues. */
  start(): Promise<void>;
  /** Takes nothing new, waits at most `timeoutMs` for what runs; the rest is taken up at the next start. */
  stop(timeoutMs: number): Promise<void>;
}

export interface JobsSettings {
  /** Connection string of the role that owns the schema. The application role gets no access to job records. */
  readonly url: string;
  /** Names this process among those on the same database. Two live processes must not share a name. */
  readonly executorId: string;
  /**
   * The names of all processes that live, this one's among them: what others were running when they ended, one that is
   * left takes up within seconds. Those that live are known by their locks (`live_instances`) too. Absent: only a
   * process of the same name takes up what one left.
   */
  readonly living?: () => readonly string[];
  /** This process's place: it takes work that can be done nowhere else. */
  readonly place?: string;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  readonly log: Log;
}

const schemaName = 'dbos';
/**
 * One version for good: recovery only takes up work of its own version, and an upgrade must not strand any. The price is
 * that a job's steps may only change in ways that work begun before still fits, or under a new name.
 */
const applicationVersion = 'gatehouse-jobs-1';
/** Queues are looked at this often; half of it is the mean delay before a job starts on an idle server. */
const pollingIntervalMs = 100;
/** Records of steps and queues are short statements: few connections suffice. */
const poolMax = 6;
const forgetEveryMs = 10 * 60_000;
/** A job that was lost with its connection is taken up after two looks at most. */
const lookForLostEveryMs = 5_000;
/** That a process ended is known two or three seconds later; its jobs go on at the next look. */
const lookForOrphansEveryMs = 1_000;

/** The library keeps its state in the module, so there can only be one at work in a process. */
let atWork = false;

/** Durable jobs on PostgreSQL. Builds only; nothing happens before `start`. */
export function createJobs(settings: JobsSettings): Jobs {
  const { clock, log } = settings;
  const definitions: { definition: JobDefinition<never>; bind: (start: StartJob) => void }[] = [];
  let stopping = new AbortController();
  let pool: pg.Pool | null = null;
  let upkeep: Promise<unknown> = Promise.resolve();
  const lostJobs = createLostJobs(settings.executorId);

  const openPool = () => {
    const opened = new pg.Pool({
      connectionString: settings.url,
      max: poolMax,
      application_name: 'gatehouse jobs',
      connectionTimeoutMillis: 30_000,
      options: '-c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000',
    });
    expectLosses(opened, (error) => log.warn({ err: error }, 'a connection of the job runner was lost'));
    // The library tries again after every loss but this one, which it would take for a failure of the job.
    opened.on('connect', (client) =>
      client.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EPIPE') error.code = 'ECONNRESET';
      }),
    );
    return opened;
  };

  const periodically = async (everyMs: number, failure: string, work: () => Promise<void>) => {
    while (!stopping.signal.aborted) {
      await work().catch((error) => log.warn({ err: error }, failure));
      await clock.sleep(everyMs, stopping.signal).catch(() => {});
    }
  };
  const takeUpLost = async () => {
    const count = await lostJobs.takeUp();
    if (count > 0) log.warn({ count }, 'jobs that were lost with a connection go on');
  };

  const takeUpOrphaned = async () => {
    if (!pool || !settings.living) return;
    const count = await takeUpOrphanedJobs(pool, applicationVersion, settings.living());
    if (count > 0) log.warn({ count }, 'jobs of a process that ended go on');
  };

  return {
    register<Input extends StepResult>(definition: JobDefinition<Input>): JobQueue<Input> {
      if (pool) throw new Error(`${definition.name} is registered after the start`);
      let startJob: StartJob = () => {
        throw new AppError('shutting_down', 'The job runner is not at work.');
      };
      definitions.push({ definition, bind: (start) => (startJob = start) });
      return {
        enqueue: (id, partition, input, place) => startJob(id, partition, input, place ?? null),
        states: jobStates,
        forget: (id) => DBOS.deleteWorkflow(id),
      };
    },

    async start() {
      if (atWork) throw new Error('Another job runner is at work in this process.');
      atWork = true;
      stopping = new AbortController();
      pool = openPool();
      try {
        const places = settings.place === undefined ? [null] : [null, settings.place];
        const queues = definitions.flatMap(({ definition }) =>
          places.map((place) => ({ definition, name: queueName(definition.name, place) })),
        );
        DBOS.setConfig({ ...configuration(settings, pool), listenQueues: queues.map(({ name }) => name) });
        for (const { definition, bind } of definitions) bind(asWorkflow(definition, lostJobs));
        // Two at once on an empty database would get in each other's way.
        await oneAtATime(settings.url, clock, () => DBOS.launch());
        for (const { definition, name } of queues) {
          await DBOS.registerQueue(name, {
            workerConcurrency: definition.concurrency,
            partitionWorkerConcurrency: Math.min(definition.concurrencyPerPartition, definition.concurrency),
            minPollingIntervalMs: pollingIntervalMs,
            onConflict: 'always_update',
          });
        }
      } catch (cause) {
        await DBOS.shutdown({ deregister: true }).catch(() => {});
        await pool.end();
        pool = null;
        atWork = false;
        throw new AppError('database_unavailable', 'The job runner could not be started; see the log.', {
          cause,
        });
      }
      upkeep = Promise.all([
        periodically(forgetEveryMs, 'finished jobs were not cleared away; trying again later', () =>
          forgetFinishedJobs(clock.now()),
        ),
        periodically(lookForLostEveryMs, 'jobs could not be looked after; trying again shortly', takeUpLost),
        periodically(lookForOrphansEveryMs, 'jobs of others could not be looked after', takeUpOrphaned),
      ]);
    },

    async stop(timeoutMs) {
      if (!pool) return;
      stopping.abort();
      await upkeep;
      await DBOS.shutdown({ deregister: true, workflowCompletionTimeoutMS: timeoutMs });
      await pool.end();
      pool = null;
      atWork = false;
    },
  };
}

type StartJob = (id: string, partition: string, input: StepResult, place: string | null) => Promise<void>;

/** Stored work refers to it. */
const queueName = (job: string, place: string | null) => (place === null ? job : `${job}@${place}`);

function asWorkflow(definition: JobDefinition<never>, lostJobs: LostJobs): StartJob {
  const workflow = DBOS.registerWorkflow(
    (input: StepResult): Promise<void> =>
      lostJobs.running(DBOS.workflowID ?? '', () => definition.run(input as never, runStep)),
    { name: definition.name, maxRecoveryAttempts: definition.maxRecoveries },
  );
  return async (workflowID, queuePartitionKey, input, place) => {
    await DBOS.startWorkflow(workflow, {
      workflowID,
      queueName: queueName(definition.name, place),
      enqueueOptions: { queuePartitionKey },
    })(input);
  };
}

const runStep: RunStep = (name, work, retries) =>
  DBOS.runStep(work, {
    name,
    ...(retries
      ? {
          retriesAllowed: true,
          maxAttempts: retries.attempts,
          intervalSeconds: retries.firstDelayMs / 1000,
          backoffRate: 2,
          ...(retries.worthwhile ? { shouldRetry: retries.worthwhile } : {}),
        }
      : {}),
  });

function configuration(settings: JobsSettings, pool: pg.Pool): DBOSConfig {
  const { log } = settings;
  const text = (entry: unknown) => (entry instanceof Error ? entry.message : String(entry));
  const isNews = onceInAWhile(settings.clock);
  return {
    name: 'gatehouse',
    // Only ever shown, masked; connections come from the pool.
    systemDatabaseUrl: 'postgresql://owner@pool/gatehouse',
    systemDatabasePool: pool,
    systemDatabaseSchemaName: schemaName,
    // Completion is heard of in process; one connection and a trigger per write less.
    useListenNotify: false,
    executorID: settings.executorId,
    applicationVersion,
    enableOTLP: false,
    logger: {
      // What it tells of itself is of interest to whoever looks for a fault in it.
      info: (entry) => log.debug({ part: 'jobs' }, text(entry)),
      debug: (entry) => log.debug({ part: 'jobs' }, text(entry)),
      warn: (entry) => {
        if (isNews(text(entry))) log.warn({ part: 'jobs' }, text(entry));
      },
      error: (entry, metadata) => log.error({ part: 'jobs', stack: metadata?.stack }, text(entry)),
    },
  };
}

/** While the database is away every look at a queue fails the same way, ten times a second. */
function onceInAWhile(clock: Pick<Clock, 'now'>): (message: string) => boolean {
  const silentMs = 10_000;
  const said = new Map<string, number>();
  return (message) => {
    const now = clock.now().getTime();
    for (const [other, at] of said) if (now - at >= silentMs) said.delete(other);
    if (said.has(message) || said.size >= 100) return false;
    said.set(message, now);
    return true;
  };
}
