import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCsv } from './csv.ts';

const fields = (text: string) => parseCsv(text).map((record) => record.fields);

describe('parseCsv', () => {
  it('reads plain and quoted fields, and says on which line a record begins', () => {
    const text = '\ufeffa,b\r\n"one, two","say ""hi""\nthere"\r\n\r\n,last';
    expect(parseCsv(text)).toEqual([
      { line: 1, fields: ['a', 'b'] },
      { line: 2, fields: ['one, two', 'say "hi"\nthere'] },
      { line: 5, fields: ['', 'last'] },
    ]);
  });

  it('reads back whatever is written', () => {
    const field = fc.oneof(fc.string(), fc.constantFrom('"', ',', '\n', '\r\n', 'a"b', ' "x" '));
    fc.assert(
      fc.property(
        fc.array(fc.array(field, { minLength: 2, maxLength: 5 })),
        fc.constantFrom('\n', '\r\n'),
        (records, end) => {
          const quote = (value: string) => `"${value.replaceAll('"', '""')}"`;
          expect(fields(records.map((record) => record.map(quote).join(',')).join(end))).toEqual(records);
        },
      ),
    );
  });

  it('names the line of a quote that goes wrong', () => {
    expect(() => parseCsv('a,b\nc,"d')).toThrow('line 2');
    expect(() => parseCsv('a\n"b"c')).toThrow('line 2');
  });
});
