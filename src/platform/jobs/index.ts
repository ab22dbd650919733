export {
  createJobs,
  type JobDefinition,
  type JobQueue,
  type JobState,
  type Jobs,
  type JobsSettings,
  type RunStep,
  type StepResult,
  type StepRetries,
} from './jobs.ts';
