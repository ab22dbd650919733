import { Readable } from 'node:stream';

const linesAtOnce = 500;

/**
 * A table as CSV (RFC 4180, with a header, UTF-8), given in pieces as they are read.
 * @param columns the header and how a row becomes a cell; a number or an amount that is ours passes as it is, `text` is
 *   whatever a caller wrote.
 */
export function csvStream<Row>(
  columns: readonly { readonly name: string; readonly cell: (row: Row) => string }[],
  rows: readonly Row[],
): Readable {
  function* pieces(): Generator<string> {
    yield line(columns.map(({ name }) => name));
    for (let at = 0; at < rows.length; at += linesAtOnce) {
      yield rows
        .slice(at, at + linesAtOnce)
        .map((row) => line(columns.map(({ cell }) => cell(row))))
        .join('');
    }
  }
  return Readable.from(pieces());
}

/**
 * A cell of text that somebody else wrote. Spreadsheets run a cell that begins with one of `= + - @`, a tab or a line
 * break as a formula, so such a one gets an apostrophe, which they take for "this is text" (OWASP, "CSV Injection").
 */
export function textCell(text: string | null): string {
  if (text === null) return '';
  return quoted(/^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text);
}

function quoted(text: string): string {
  return /[",\r\n']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function line(cells: readonly string[]): string {
  return `${cells.join(',')}\r\n`;
}
