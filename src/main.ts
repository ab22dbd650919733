import { UsageError } from './cli/command.ts';
import { asksForJson, parseCommandLine, showUsageError } from './cli/command-line.ts';
import { commands } from './cli/commands.ts';
import { showFailure } from './cli/failure.ts';
import { commandHelp, groupHelp, overallHelp } from './cli/help.ts';
import { createInterruption } from './cli/interruption.ts';
import { createOutput, type Output } from './cli/output.ts';
import { systemClock } from './platform/clock.ts';
import { systemEnvironment } from './platform/config.ts';
import { productVersion } from './platform/version.ts';

/**
 * The command line: `gatehouse <command>`. What a command needs is imported when it runs, so that help answers at once.
 * @returns the exit code; see `cli/command.ts`.
 */
async function main(args: readonly string[]): Promise<number> {
  const environment = systemEnvironment();
  const output = createOutput({
    stdout: process.stdout,
    stderr: process.stderr,
    environment,
    json: asksForJson(args),
    nowMs: systemClock.monotonicMs,
  });
  try {
    const request = parseCommandLine(args, commands);
    if (request.kind === 'overall-help') return show('help', overallHelp(commands), output);
    if (request.kind === 'group-help') return show('help', groupHelp(request.commands), output);
    if (request.kind === 'command-help') return show('help', commandHelp(request.command), output);
    if (request.kind === 'version') return show('version', productVersion(), output);
    const context = { environment, output, clock: systemClock, interruption: createInterruption() };
    return await request.command.run(request.values, request.given, context);
  } catch (error) {
    return error instanceof UsageError
      ? showUsageError(error, args, commands, output)
      : showFailure(error, output);
  }
}

function show(what: string, text: string, output: Output): number {
  output.line(text);
  output.result({ [what]: text });
  return 0;
}

/** Whoever reads may leave early, as `head` does; that is no failure of ours. */
function endQuietlyWhenNobodyReads(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}

endQuietlyWhenNobodyReads(process.stdout);
endQuietlyWhenNobodyReads(process.stderr);
process.exitCode = await main(process.argv.slice(2));
