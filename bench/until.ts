import type { BenchProcess } from './processes.ts';

const pollMs = 100;

/**
 * Waits for something that a started process is to do.
 * @param what a sentence for the error.
 * @throws Error when the process ends before, or after `timeoutMs`.
 */
export async function until(
  what: string,
  timeoutMs: number,
  isSo: () => Promise<boolean>,
  process: BenchProcess,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (process.hasEnded()) throw new Error(`It ended before: ${what}.`);
    if (performance.now() > deadline) throw new Error(`After ${timeoutMs / 1_000} s not so: ${what}.`);
    await pause(pollMs);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
