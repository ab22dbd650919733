import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csvStream, textCell } from './csv.ts';

/** Reads CSV by RFC 4180, independently of what writes it. */
function parse(csv: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < csv.length) {
    let cell = '';
    if (csv[at] === '"') {
      for (at++; ; at++) {
        if (csv[at] !== '"') cell += csv[at];
        else if (csv[at + 1] === '"') {
          cell += '"';
          at++;
        } else break;
      }
      at++;
    } else {
      while (at < csv.length && csv[at] !== ',' && !csv.startsWith('\r\n', at)) cell += csv[at++];
    }
    row.push(cell);
    if (csv[at] === ',') {
      at++;
      if (at === csv.length || csv.startsWith('\r\n', at)) row.push('');
    }
    if (csv.startsWith('\r\n', at)) {
      rows.push(row);
      row = [];
      at += 2;
    }
  }
  return rows;
}

describe('CSV', () => {
  it('is what went in, whatever was written, and no cell begins as a formula', async () => {
    const written = fc.oneof(
      fc.string({ minLength: 1 }),
      fc
        .tuple(fc.constantFrom('=', '+', '-', '@', '\t', '\r', '\n', '"', ',', "'"), fc.string())
        .map((parts) => parts.join('')),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(written, { minLength: 1, maxLength: 5 }), async (values) => {
        const columns = [
          { name: 'value', cell: (row: string) => textCell(row) },
          { name: 'n', cell: () => '1' },
        ];
        const rows = parse(await text(csvStream(columns, values)));
        expect(rows[0]).toEqual(['value', 'n']);
        const back = rows.slice(1).map(([value = '']) => value);
        for (const value of back) expect(value).not.toMatch(/^[=+\-@\t\r\n]/);
        expect(
          back.map((value, at) => (/^[=+\-@\t\r\n]/.test(values[at] ?? '') ? value.slice(1) : value)),
        ).toEqual(values);
        expect(rows.slice(1).every((row) => row[1] === '1')).toBe(true);
      }),
    );
  });

  it('comes in pieces however many rows there are', async () => {
    const columns = [{ name: 'n', cell: (row: number) => String(row) }];
    const rows = Array.from({ length: 1_234 }, (_, n) => n);
    expect((await text(csvStream(columns, rows))).split('\r\n')).toHaveLength(1_236);
  });

  it('leaves a cell empty where there is nothing', () => {
    expect(textCell(null)).toBe('');
  });
});
