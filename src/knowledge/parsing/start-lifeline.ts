import { Worker } from 'node:worker_threads';

const HEAP_MIB = 16;

/** Makes this process end when the process that started it ends, even while it is busy (see `lifeline.ts`). */
export function startLifeline(): void {
  new Worker(new URL('./lifeline.ts', import.meta.url), {
    workerData: { parent: process.ppid },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB, maxYoungGenerationSizeMb: 4 },
  }).unref();
}
