import { DBOS } from '@dbos-inc/dbos-sdk';

export type JobState =
  | 'waiting'
  | 'running'
  | 'done'
  /** Threw, or was cancelled. */
  | 'failed'
  /** Was running each time when the process ended, `maxRecoveries` times. */
  | 'given_up';

const stateOfStatus: Readonly<Record<string, JobState>> = {
  ENQUEUED: 'waiting',
  DELAYED: 'waiting',
  PENDING: 'running',
  SUCCESS: 'done',
  ERROR: 'failed',
  CANCELLED: 'failed',
  MAX_RECOVERY_ATTEMPTS_EXCEEDED: 'given_up',
};

const maxIds = 500;

export async function jobStates(ids: readonly string[]): Promise<ReadonlyMap<string, JobState>> {
  if (ids.length === 0) return new Map();
  if (ids.length > maxIds) throw new RangeError(`at most ${maxIds} ids at once`);
  const records = await DBOS.listWorkflows({
    workflowIDs: [...ids],
    limit: maxIds,
    loadInput: false,
    loadOutput: false,
  });
  return new Map(records.map((record) => [record.workflowID, stateOfStatus[record.status] ?? 'failed']));
}

/** Long enough that whoever asks after a job still finds it, short enough that records do not pile up. */
const keptMs = 60 * 60_000;
const batchSize = 1_000;
/** A million records an hour; what is left is for the next round. */
const maxBatches = 200;

/** Deletes the records of jobs that finished over an hour ago, in batches. */
export async function forgetFinishedJobs(now: Date): Promise<void> {
  const completedBefore = new Date(now.getTime() - keptMs).toISOString();
  for (let batch = 0; batch < maxBatches; batch += 1) {
    const records = await DBOS.listWorkflows({
      status: ['SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'],
      completedBefore,
      limit: batchSize,
      loadInput: false,
      loadOutput: false,
    });
    if (records.length === 0) return;
    await DBOS.deleteWorkflows(records.map((record) => record.workflowID));
    if (records.length < batchSize) return;
  }
}
