import { parseArgs } from 'node:util';
import { type Command, exitCodes, type OptionSpec, UsageError } from './command.ts';
import { nearest } from './nearest.ts';
import type { Output } from './output.ts';

/** What was asked for, before anything is done. */
export type Request =
  | { readonly kind: 'overall-help' }
  /** Of the commands that share a first word. */
  | { readonly kind: 'group-help'; readonly commands: readonly Command[] }
  | { readonly kind: 'version' }
  | { readonly kind: 'command-help'; readonly command: Command }
  | {
      readonly kind: 'run';
      readonly command: Command;
      readonly values: Readonly<Record<string, string | boolean | undefined>>;
      readonly given: readonly string[];
    };

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

  const group = groupOf(first, commands);
  if (group.length > 0 && args.slice(1).every((arg) => arg === '--help' || arg === '-h') && args.length > 1) {
    return { kind: 'group-help', commands: group };
  }
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

/** Says what was wrong with a command line, and where to find help. @returns the exit code. */
export function showUsageError(
  error: UsageError,
  args: readonly string[],
  commands: readonly Command[],
  output: Output,
): number {
  output.fail(error.message, { code: 'usage' });
  const meant = longestMatch(args, commands)?.name ?? groupOf(args[0] ?? '', commands)[0]?.name.split(' ')[0];
  if (!output.json) output.note(`See: gatehouse ${meant ? `${meant} ` : ''}--help`);
  return exitCodes.usage;
}

function findCommand(
  args: readonly string[],
  commands: readonly Command[],
): { command: Command; rest: readonly string[] } {
  const command = longestMatch(args, commands);
  if (command) return { command, rest: args.slice(command.name.split(' ').length) };
  const first = args[0] ?? '';
  const group = groupOf(first, commands);
  if (group.length > 0) {
    throw new UsageError(`Which one? ${group.map(({ name }) => `gatehouse ${name}`).join(', ')}`);
  }
  const names = new Set(commands.flatMap(({ name }) => [name, name.split(' ')[0] ?? name]));
  const guess = nearest(first, [...names]);
  throw new UsageError(`There is no command "${first}".${guess ? ` Did you mean ${guess}?` : ''}`);
}

/** The command whose words the line begins with; were there `keys` beside `keys create`, the longer one. */
function longestMatch(args: readonly string[], commands: readonly Command[]): Command | undefined {
  return commands
    .filter(({ name }) => name.split(' ').every((word, i) => args[i] === word))
    .sort((a, b) => b.name.length - a.name.length)[0];
}

/** The commands of more than one word that begin with this one. */
function groupOf(first: string, commands: readonly Command[]): Command[] {
  return commands.filter(({ name }) => name.startsWith(`${first} `));
}

function readOptions(command: Command, rest: readonly string[]) {
  const known: Record<string, OptionSpec> = command.options;
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
    const quote = command.arguments.includes('"') ? ' Put quotes around text with spaces.' : '';
    throw new UsageError(`"${given[command.most]}" is one too many: ${usage}.${quote}`);
  }
}
