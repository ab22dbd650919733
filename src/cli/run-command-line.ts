import { productVersion } from '../platform/version.ts';
import { type CommandContext, exitCodes, UsageError } from './command.ts';
import { parseCommandLine, showUsageError } from './command-line.ts';
import { commands } from './commands.ts';
import { showFailure } from './failure.ts';
import { commandHelp, groupHelp, overallHelp } from './help.ts';
import type { Output } from './output.ts';

/** Does what a command line asks for, and says what it has to say. @returns the exit code. */
export async function runCommandLine(args: readonly string[], context: CommandContext): Promise<number> {
  const { output } = context;
  try {
    const request = parseCommandLine(args, commands);
    switch (request.kind) {
      case 'overall-help':
        return show('help', overallHelp(commands), output);
      case 'group-help':
        return show('help', groupHelp(request.commands), output);
      case 'command-help':
        return show('help', commandHelp(request.command), output);
      case 'version':
        return show('version', productVersion(), output);
      case 'run':
        return await request.command.run(request.values, request.given, context);
    }
  } catch (error) {
    return error instanceof UsageError
      ? showUsageError(error, args, commands, output)
      : showFailure(error, output);
  }
}

function show(what: string, text: string, output: Output): number {
  output.line(text);
  output.result({ [what]: text });
  return exitCodes.ok;
}
