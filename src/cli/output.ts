import { printable } from './printable.ts';
import { createProgress, type Progress } from './progress.ts';

export type Style = 'good' | 'warning' | 'bad' | 'strong' | 'faint';

const codes: Readonly<Record<Style, string>> = {
  good: '32',
  warning: '33',
  bad: '31',
  strong: '1',
  faint: '2',
};

/** The part of a Node stream that is written to. */
export interface TextStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/**
 * Everything a command says. Standard output holds what was asked for: lines for a person, or with `--json` one
 * object for a program. Notes, progress and errors go to standard error.
 */
export interface Output {
  /** Whether the caller asked for JSON; `line`, `write` and `table` are silent then. */
  readonly json: boolean;
  /** Whether a person watches standard output on a terminal. */
  readonly interactive: boolean;
  line(text?: string): void;
  /** A piece of a line, as it arrives. */
  write(piece: string): void;
  /** The result for a program; silent without `--json`. */
  result(value: unknown): void;
  /** For a person, beside the result; shown with `--json` too. */
  note(text: string): void;
  /** Why it did not work. @param facts go beside the message with `--json`. */
  fail(message: string, facts?: Readonly<Record<string, unknown>>): void;
  table(head: readonly string[], rows: readonly (readonly string[])[]): void;
  /** The text in a style, where colours are wanted. Put untrusted text through it as you like: it is made safe. */
  paint(style: Style, text: string): string;
  /** @param what is being done, such as `Ingesting`. @param total how many there are. */
  progress(what: string, total: number): Progress;
}

export interface OutputSettings {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  /** Only NO_COLOR (see no-color.org) and TERM are looked at. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly json: boolean;
  readonly nowMs: () => number;
}

export function createOutput(settings: OutputSettings): Output {
  const { stdout, stderr, environment, json } = settings;
  const terminal = environment.TERM !== 'dumb';
  const colours = terminal && stdout.isTTY === true && !environment.NO_COLOR && !json;
  let bar: ReturnType<typeof createProgress> | null = null;
  const say = (stream: TextStream, text: string) => {
    // A bar that is being drawn makes way; its next update draws it again below.
    bar?.clear();
    stream.write(text);
  };

  return {
    json,
    interactive: stdout.isTTY === true && !json,
    line(text = '') {
      if (!json) say(stdout, `${printable(text, { keepColours: colours })}\n`);
    },
    write(piece) {
      if (!json) say(stdout, printable(piece));
    },
    result(value) {
      if (json) say(stdout, `${JSON.stringify(value, bigintAsText, 2)}\n`);
    },
    note: (text) => say(stderr, `${printable(text)}\n`),
    fail(message, facts = {}) {
      if (json) say(stdout, `${JSON.stringify({ error: { message, ...facts } }, bigintAsText, 2)}\n`);
      else say(stderr, `${printable(message)}\n`);
    },
    table(head, rows) {
      if (json) return;
      for (const line of tableLines(
        head,
        rows.map((row) => row.map((cell) => printable(cell))),
      )) {
        say(stdout, `${line}\n`);
      }
    },
    paint: (style, text) =>
      colours ? `\u001b[${codes[style]}m${printable(text)}\u001b[0m` : printable(text),
    progress(what, total) {
      if (json) return { update() {}, end() {} };
      const created = createProgress(
        {
          redraws: terminal && stderr.isTTY === true,
          columns: stderr.columns ?? 80,
          write: (text) => stderr.write(text),
        },
        what,
        total,
        settings.nowMs,
      );
      bar = created;
      return {
        update: created.update,
        end() {
          created.end();
          if (bar === created) bar = null;
        },
      };
    },
  };
}

/** Columns as wide as their widest cell, two spaces apart, without trailing spaces. */
export function tableLines(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => [...(row[column] ?? '')].length)));
  return all.map((row) =>
    widths
      .map((width, column) => (row[column] ?? '').padEnd(width))
      .join('  ')
      .trimEnd(),
  );
}

/** Counts from the database are bigint, which JSON does not know. */
function bigintAsText(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
