import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Command, commonOptions, defineCommand, exitCodes, UsageError } from './command.ts';
import { asksForJson, parseCommandLine, type Request, showUsageError } from './command-line.ts';
import { commands } from './commands.ts';
import { commandHelp, overallHelp } from './help.ts';
import { readExtensions } from './ingest/find-files.ts';
import { createOutput } from './output.ts';

const sample: readonly Command[] = [
  defineCommand({
    name: 'paint',
    summary: 'paints',
    description: 'Paints what it is given.',
    arguments: '<thing>',
    least: 1,
    most: 1,
    options: {
      colour: { type: 'string', value: 'name', help: 'which' },
      dry: { type: 'boolean', help: 'wait' },
      ...commonOptions,
    },
    examples: ['gatehouse paint door'],
    run: async () => 0,
  }),
  ...['brush add', 'brush drop'].map((name) =>
    defineCommand({
      name,
      summary: name,
      description: name,
      arguments: '',
      least: 0,
      most: 0,
      options: commonOptions,
      examples: [`gatehouse ${name}`],
      run: async () => 0,
    }),
  ),
];

function refusal(...args: string[]): string {
  try {
    parseCommandLine(args, sample);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return 'accepted';
}

describe('a command line', () => {
  it('gives the command, its options and what follows', () => {
    const request = parseCommandLine(['paint', '--colour', 'red', 'door', '--no-dry', '--json'], sample);
    expect(request).toMatchObject({
      kind: 'run',
      values: { colour: 'red', dry: false, json: true },
      given: ['door'],
    });
  });

  it('takes what begins with a hyphen after --', () => {
    expect(parseCommandLine(['paint', '--', '--door'], sample)).toMatchObject({
      kind: 'run',
      given: ['--door'],
    });
  });

  it.each<[string[], Request['kind']]>([
    [['--help'], 'overall-help'],
    [['-h'], 'overall-help'],
    [['help'], 'overall-help'],
    [['--version'], 'version'],
    [['help', 'paint'], 'command-help'],
    [['paint', '--help'], 'command-help'],
    [['paint', '-h', '--colour', 'red'], 'command-help'],
    [['brush', 'add', '--help'], 'command-help'],
    [['brush', '--help'], 'group-help'],
  ])('%j is %s', (args, kind) => expect(parseCommandLine(args, sample).kind).toBe(kind));

  it.each([
    [[], 'Which command?'],
    [['pain', 'x'], 'There is no command "pain". Did you mean paint?'],
    [['brsh'], 'There is no command "brsh". Did you mean brush?'],
    [['sculpt'], 'There is no command "sculpt".'],
    [['brush'], 'Which one? gatehouse brush add, gatehouse brush drop'],
    [['--dry', 'paint'], 'Options come after the command: gatehouse <command> --dry'],
    [['paint', '--color', 'red', 'x'], 'There is no option --color here. Did you mean --colour?'],
    [['paint', 'x', '-z'], 'There is no option -z here.'],
    [
      ['paint', 'x', '--colour'],
      '--colour needs a value: --colour <name>. One that begins with a hyphen is written --colour=-x.',
    ],
    [['paint', 'x', '--dry=yes'], '--dry takes no value.'],
    [['paint'], 'Something is missing: gatehouse paint <thing>'],
    [['paint', 'a', 'b'], '"b" is one too many: gatehouse paint <thing>.'],
  ])('%j is refused: %s', (args, message) => expect(refusal(...args)).toBe(message));

  it('is answered in JSON when it asks for JSON, even when it is wrong', () => {
    const written: string[] = [];
    const stream = { write: (text: string) => written.push(text) };
    const args = ['paint', '--json'];
    const output = createOutput({
      stdout: stream,
      stderr: stream,
      environment: {},
      json: asksForJson(args),
      nowMs: () => 0,
    });
    expect(showUsageError(new UsageError('no'), args, sample, output)).toBe(2);
    expect(JSON.parse(written.join(''))).toEqual({ error: { message: 'no', code: 'usage' } });
    expect(asksForJson(['paint', '--', '--json'])).toBe(false);
  });
});

describe('every command', () => {
  it.each(commands.map((command) => [command.name, command] as const))(
    '%s explains itself',
    (name, command) => {
      const help = commandHelp(command);
      for (const option of Object.keys(command.options)) expect(help).toContain(option);
      expect(help.split('\n').every((line) => line.length <= 100)).toBe(true);
      expect(overallHelp(commands)).toContain(`  ${name}  `);
      expect(command.options).toHaveProperty('json');
      expect(command.options).toHaveProperty('help');
    },
  );

  it.each(commands.flatMap((command) => command.examples.map((example) => [example, command] as const)))(
    'can be run as shown: %s',
    (example, command) => {
      expect(parseCommandLine(argumentsOf(example), commands)).toMatchObject({ kind: 'run', command });
    },
  );
});

describe('docs/cli.md', () => {
  const text = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  const lines = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.split('\n'));
  const shown = lines.filter((line) => line.startsWith('gatehouse '));

  it.each(shown)('shows what can be run: %s', (line) => {
    expect(parseCommandLine(argumentsOf(line), commands).kind).toBe('run');
  });

  it('shows every command, every exit code and every extension', () => {
    for (const { name } of commands) expect(shown.join('\n')).toContain(`gatehouse ${name}`);
    for (const code of Object.values(exitCodes)) expect(text).toContain(`| ${code} |`);
    expect(text.replaceAll('\n', ' ')).toContain(readExtensions.join(' '));
  });
});

/** As a shell reads it: quotes and variables in front; `gatehouse` itself goes. */
function argumentsOf(example: string): string[] {
  const words = [...example.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  return words.slice(words.indexOf('gatehouse') + 1);
}
