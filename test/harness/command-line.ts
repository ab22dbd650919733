import { createOutput } from '../../src/cli/output.ts';
import { runCommandLine } from '../../src/cli/run-command-line.ts';
import { systemClock } from '../../src/platform/clock.ts';

/** Runs a line as `main.ts` does, in this process. Nothing is a terminal, and nobody interrupts. */
export async function gatehouse(args: readonly string[], environment: Record<string, string>) {
  let stdout = '';
  let stderr = '';
  const output = createOutput({
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    environment: {},
    json: args.includes('--json'),
    nowMs: () => 0,
  });
  const exitCode = await runCommandLine(args, {
    environment,
    output,
    clock: systemClock,
    interruption: () => new AbortController().signal,
  });
  return { exitCode, stdout, stderr };
}
