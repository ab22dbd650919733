import { asksForJson } from './cli/command-line.ts';
import { createInterruption } from './cli/interruption.ts';
import { createOutput } from './cli/output.ts';
import { runCommandLine } from './cli/run-command-line.ts';
import { systemClock } from './platform/clock.ts';
import { systemEnvironment } from './platform/config.ts';

/**
 * The command line: `gatehouse <command>`. `cli/commands.ts` lists the commands; what each needs is imported when it
 * runs, so that help answers at once.
 */
const args = process.argv.slice(2);
const environment = systemEnvironment();
const output = createOutput({
  stdout: process.stdout,
  stderr: process.stderr,
  environment,
  json: asksForJson(args),
  nowMs: systemClock.monotonicMs,
});
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever reads may leave early, as `head` does, and a terminal may be closed; that is no failure of ours.
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    // A server stays until a signal stops it, with no request cut off.
    if (args[0] !== 'serve') process.exit();
  });
}
process.exitCode = await runCommandLine(args, {
  environment,
  output,
  clock: systemClock,
  interruption: createInterruption(),
});
