import { parseArgs } from 'node:util';
import { type Command, type CommandContext, exitCodes, type OptionSpec, UsageError } from './command.ts';
import { nearest } from './nearest.ts';
import type { Output } from './output.ts';

/** What was asked for, before anything is done. */
export type Request =
  | { readonly kind: 'overall-help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'command-help'; readonly command: Command }
  | {
      readonly kind: 'run';
      readonly command: Command;
      readonly values: Readonly<Record<string, string | boolean | undefined>>;
      readonly given: readonly string[];
    };

/** Options that every command takes. */
export const commonOptions = {
  json: { type: 'boolean', help: 'answer with one JSON object' },
  help: { type: 'boolean', help: 'show this' },
} as const satisfies Record<string, OptionSpec>;

/**
 * @param args what follows `gatehouse`.
 * @throws UsageError that says what is wrong and, where it can, what was probably meant.
 */
export function parseCommandLine(args: readonly string[], commands: readonly Command[]): Request {
  const [first = ''] = args;
  if (first === '--help' || first === '-h' || (first === 'help' && args.length === 1)) {
    return { kind: 'overall-help' };
  }
  if (first === '--version' || first === '-v') return { kind: 'version' };
  if (first === 'help')
    return { kind: 'command-help', command: findCommand(args.slice(1), commands).command };
  if (first === '') throw new UsageError('Which command?');
  if (first.startsWith('-'))
    throw new UsageError(`Options come after the command: gatehouse <command> ${first}`);

  const { command, rest } = findCommand(args, commands);
  const { values, given } = readOptions(command, rest);
  if (values.help === true) return { kind: 'command-help', command };
  checkArguments(command, given);
  return { kind: 'run', command, values, given };
}

/** Whether JSON was asked for, when the rest of the line could not be understood. */
export function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end < 0 ? undefined : end).includes('--json');
}

/** Carries a request out. @returns the exit code. */
export function runRequest(
  request: Extract<Request, { kind: 'run' }>,
  context: CommandContext,
): Promise<number> {
  return request.command.run(request.values, request.given, context);
}

/** Says what was wrong with a command line. @returns the exit code. */
export function showUsageError(error: UsageError, args: readonly string[], output: Output): number {
  const word = args[0]?.startsWith('-') === false ? `${args[0]} ` : '';
  output.fail(error.message, { code: 'usage' });
  if (!output.json)
    output.note(`See: gatehouse ${error.message.startsWith('There is no command') ? '' : word}--help`);
  return exitCodes.usage;
}

function findCommand(
  args: readonly string[],
  commands: readonly Command[],
): { command: Command; rest: readonly string[] } {
  // The longest name first: `keys create` before a command that were called `keys`.
  const byLength = [...commands].sort((a, b) => b.name.length - a.name.length);
  for (const command of byLength) {
    const words = command.name.split(' ');
    if (words.every((word, i) => args[i] === word)) return { command, rest: args.slice(words.length) };
  }
  const first = args[0] ?? '';
  const group = commands.filter((command) => command.name.startsWith(`${first} `));
  if (group.length > 0) {
    throw new UsageError(`Which one? ${group.map((command) => `gatehouse ${command.name}`).join(', ')}`);
  }
  const guess = nearest(
    first,
    commands.map((command) => command.name),
  );
  throw new UsageError(`There is no command "${first}".${guess ? ` Did you mean ${guess}?` : ''}`);
}

function readOptions(command: Command, rest: readonly string[]) {
  const known: Record<string, OptionSpec> = { ...command.options, ...commonOptions };
  const options = {
    ...Object.fromEntries(Object.entries(known).map(([name, { type }]) => [name, { type }])),
    help: { type: 'boolean', short: 'h' },
  } as const;
  try {
    const { values, positionals } = parseArgs({
      args: [...rest],
      options,
      allowPositionals: true,
      allowNegative: true,
      strict: true,
    });
    return { values: values as Record<string, string | boolean | undefined>, given: positionals };
  } catch (error) {
    throw new UsageError(optionProblem(error as NodeJS.ErrnoException, known), { cause: error });
  }
}

/** Node's refusals in our words. */
function optionProblem(error: NodeJS.ErrnoException, known: Readonly<Record<string, OptionSpec>>): string {
  const name = /--?(?:no-)?([\w-]+)/.exec(error.message)?.[1] ?? '';
  const spec = known[name];
  switch (error.code) {
    case 'ERR_PARSE_ARGS_UNKNOWN_OPTION': {
      const guess = nearest(name, Object.keys(known));
      return `There is no option ${/'(-[^']*)'/.exec(error.message)?.[1] ?? name} here.${guess ? ` Did you mean --${guess}?` : ''}`;
    }
    case 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE':
      return spec?.type === 'string'
        ? `--${name} needs a value: --${name} <${spec.value ?? 'value'}>. One that begins with a hyphen is written --${name}=-x.`
        : `--${name} takes no value.`;
    default:
      return error.message;
  }
}

function checkArguments(command: Command, given: readonly string[]): void {
  const usage = `gatehouse ${[command.name, command.arguments].filter(Boolean).join(' ')}`;
  if (given.length < command.least) throw new UsageError(`Something is missing: ${usage}`);
  if (given.length > command.most) {
    const quote = command.most === 1 ? ' Put quotes around text with spaces.' : '';
    throw new UsageError(`"${given[command.most]}" is one too many: ${usage}.${quote}`);
  }
}
