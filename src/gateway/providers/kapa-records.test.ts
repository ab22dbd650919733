import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRecordSplitter } from './kapa-records.ts';

describe('the records of a Kapa stream', () => {
  it('are the same wherever the stream is cut', () => {
    const record = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { noNullPrototype: true });
    fc.assert(
      fc.property(fc.array(record), fc.array(fc.nat()), (records, cuts) => {
        const text = records.map((one) => `${JSON.stringify(one)}\u241e`).join('');
        const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
        const split = createRecordSplitter();
        const found = places.slice(1).flatMap((end, n) => split(text.slice(places[n], end)));
        expect(JSON.stringify(found)).toBe(
          JSON.stringify(records.map((one) => JSON.parse(JSON.stringify(one)))),
        );
      }),
    );
  });

  it('may be long, in many pieces', () => {
    const split = createRecordSplitter();
    const piece = 'a'.repeat(1_000);
    split('{"text":"');
    for (let n = 0; n < 50_000; n++) expect(split(piece)).toEqual([]);
    expect(String(split('"}\u241e')[0]?.text)).toHaveLength(50_000_000);
  });
});
