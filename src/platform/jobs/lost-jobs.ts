import { DBOS } from '@dbos-inc/dbos-sdk';

/** A thousand lost at once is more than any queue lets run; what is beyond is found at the next look. */
const maxListed = 1_000;

export interface LostJobs {
  /** Runs a job's work, and knows that it runs. */
  running<T>(jobId: string, work: () => Promise<T>): Promise<T>;
  /**
   * Looks for jobs that are recorded as running here and do not: the database went away between taking one off its queue
   * and telling so. Nothing else would ever take it up in the life of this process. Found at two looks in a row, so that
   * one that is just beginning or ending is not taken for lost, a job goes back on its queue.
   * @returns how many did.
   */
  takeUp(): Promise<number>;
}

/** @param executorId the name under which this process takes jobs. */
export function createLostJobs(executorId: string): LostJobs {
  const atWork = new Set<string>();
  let missed: ReadonlySet<string> = new Set();
  return {
    async running(jobId, work) {
      atWork.add(jobId);
      try {
        return await work();
      } finally {
        atWork.delete(jobId);
      }
    },

    async takeUp() {
      const recorded = await DBOS.listWorkflows({
        status: 'PENDING',
        executorId,
        queuesOnly: true,
        limit: maxListed,
        loadInput: false,
        loadOutput: false,
      });
      const missing = recorded.filter(({ workflowID }) => !atWork.has(workflowID));
      const lost = missing.filter(({ workflowID }) => missed.has(workflowID));
      for (const { workflowID, queueName } of lost)
        await DBOS.resumeWorkflow(workflowID, queueName === undefined ? {} : { queueName });
      missed = new Set(missing.map(({ workflowID }) => workflowID));
      return lost.length;
    },
  };
}
