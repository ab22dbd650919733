export type { JobState } from './job-records.ts';
export {
  createJobs,
  type JobDefinition,
  type JobQueue,
  type Jobs,
  type JobsSettings,
  type RunStep,
  type StepResult,
  type StepRetries,
} from './jobs.ts';
