import { workerData } from 'node:worker_threads';

/**
 * Ends a reading process whose server is gone. It runs in a thread of its own because the main thread may be deep in a
 * file that never ends, and then nobody is left to enforce the time limit.
 */
const CHECK_EVERY_MS = 500;

const { parent } = workerData as { parent: number };

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
}, CHECK_EVERY_MS);
