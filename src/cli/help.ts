import { type Command, exitCodes } from './command.ts';

/** Widest line of help. */
const helpColumns = 96;

export function overallHelp(commands: readonly Command[]): string {
  return [
    'Usage: gatehouse <command> [options]',
    '',
    'The self-hosted control point between your applications and their language models.',
    '',
    'Commands',
    ...pairs(commands.map((command) => [command.name, command.summary])),
    '',
    'Every command takes --help, and --json to answer with one JSON object.',
    `Exit codes: ${exitCodes.ok} done, ${exitCodes.failed} it failed or found a problem, ${exitCodes.usage} the command line was wrong.`,
    '',
    'The first steps',
    '  npm start                                 starts a server on this machine',
    '  npx gatehouse doctor                      says what is wrong, and what to do about it',
    '  npx gatehouse ask "What is Gatehouse?"    asks the documents of the running server',
  ].join('\n');
}

export function groupHelp(commands: readonly Command[]): string {
  return [
    'Commands',
    ...pairs(commands.map((command) => [command.name, command.summary])),
    '',
    'Each takes --help.',
  ].join('\n');
}

export function commandHelp(command: Command): string {
  const options: [string, string][] = Object.entries(command.options).map(([name, option]) => [
    `${option.type === 'boolean' && !plainSwitches.has(name) ? `--[no-]${name}` : `--${name}`}${option.value ? ` <${option.value}>` : ''}`,
    option.help,
  ]);
  return [
    `Usage: gatehouse ${[command.name, command.arguments].filter(Boolean).join(' ')} [options]`,
    '',
    ...wrapped(command.description, helpColumns),
    '',
    'Options',
    ...pairs(options),
    '',
    'Examples',
    ...command.examples.map((example) => `  ${example}`),
    '',
    'Exit codes',
    ...pairs(
      Object.entries({
        [exitCodes.ok]: 'done',
        [exitCodes.failed]: 'it failed; the message says why',
        [exitCodes.usage]: 'the command line was wrong',
        ...command.exits,
      }),
    ),
  ].join('\n');
}

/** Switches that are off unless given: showing their negation would only puzzle. */
const plainSwitches = new Set(['json', 'help', 'online', 'offline']);

/** Names in one column, what they mean in another, wrapped. */
function pairs(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([name]) => name.length)) + 2;
  return rows.flatMap(([name, meaning]) =>
    wrapped(meaning, helpColumns - width - 2).map(
      (line, i) => `  ${(i === 0 ? name : '').padEnd(width)}${line}`,
    ),
  );
}

function wrapped(text: string, columns: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines = [''];
    for (const word of paragraph.split(' ')) {
      const last = lines.at(-1) ?? '';
      if (last !== '' && last.length + 1 + word.length > columns) lines.push(word);
      else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
    }
    return lines;
  });
}
