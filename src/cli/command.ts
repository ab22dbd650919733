import type { Clock } from '../platform/clock.ts';
import type { Environment } from '../platform/config.ts';
import type { Output } from './output.ts';

/** What every command ends with; a command that has more endings states them in its help. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  /** The command line itself was wrong; nothing was done. */
  usage: 2,
  /** `ask`: the sources do not cover the question. */
  notCovered: 3,
  /** Ctrl-C, as shells count it: 128 + SIGINT. */
  interrupted: 130,
} as const;

/** A wrong command line: shown with where to find help, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface OptionSpec {
  readonly type: 'string' | 'boolean';
  /** How the value is called in the help. */
  readonly value?: string;
  readonly help: string;
}

/** Options that every command takes. */
export const commonOptions = {
  json: { type: 'boolean', help: 'answer with one JSON object' },
  help: { type: 'boolean', help: 'show this' },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export type ValuesOf<Options> = {
  readonly [Name in keyof Options]?: Options[Name] extends { readonly type: 'boolean' } ? boolean : string;
};

export interface CommandContext {
  readonly environment: Environment;
  readonly output: Output;
  readonly clock: Clock;
  /**
   * Aborts on the first Ctrl-C or SIGTERM from when it is asked for; a second one ends the process at once. Commands
   * that do not ask for it end on the first.
   */
  readonly interruption: () => AbortSignal;
}

interface CommandText {
  /** Words after `gatehouse`, such as `keys create`. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What follows the name, such as `<path>…`; empty when nothing does. */
  readonly arguments: string;
  /** How many arguments there may be. */
  readonly least: number;
  readonly most: number;
  readonly description: string;
  readonly examples: readonly string[];
  /** Endings beyond 0, 1 and 2. */
  readonly exits?: Readonly<Record<number, string>>;
}

export interface Command extends CommandText {
  readonly options: Readonly<Record<string, OptionSpec>>;
  run(
    values: Readonly<Record<string, string | boolean | undefined>>,
    given: readonly string[],
    context: CommandContext,
  ): Promise<number>;
}

/** Writes a command down; the types of its values follow from its options. */
export function defineCommand<const Options extends Readonly<Record<string, OptionSpec>>>(
  command: CommandText & {
    readonly options: Options;
    run(values: ValuesOf<Options>, given: readonly string[], context: CommandContext): Promise<number>;
  },
): Command {
  return {
    ...command,
    run: (values, given, context) => command.run(values as ValuesOf<Options>, given, context),
  };
}
