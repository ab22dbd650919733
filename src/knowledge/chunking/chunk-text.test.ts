import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Chunk, type ChunkOptions, chunkText, defaultChunkOptions } from './chunk-text.ts';

const fragments = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.lorem({ maxCount: 4, mode: 'sentences' }),
  fc.constantFrom(
    '\n',
    '\n\n',
    '# One\n',
    '## Two\n',
    'Three\n-----\n',
    '- item\n',
    '  - nested\n',
    '| a | b |\n',
    '```\n',
    '~~~ts\n',
    '    ',
    '\ud800',
    '\udc00',
    '👩‍👩‍👧‍👦',
    'e\u0301\u0301\u0301',
    'x'.repeat(900),
    '漢'.repeat(300),
    ' '.repeat(500),
  ),
);
const texts = fc.array(fragments, { maxLength: 30 }).map((parts) => parts.join(''));
const sizes = fc
  .record({
    maxTokens: fc.integer({ min: 8, max: 400 }),
    share: fc.double({ min: 0.2, max: 1, noNaN: true }),
  })
  .map(({ maxTokens, share }) => ({ maxTokens, targetTokens: Math.max(1, Math.floor(maxTokens * share)) }));

function uncovered(text: string, chunks: readonly Chunk[]): string {
  let left = '';
  let at = 0;
  for (const chunk of chunks) {
    left += text.slice(at, chunk.start);
    at = chunk.end;
  }
  return left + text.slice(at);
}

function splitsPair(text: string, at: number): boolean {
  return /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(Math.max(0, at - 1), at + 1));
}

describe('chunkText on any text', () => {
  it('gives exact offsets, in order, and covers everything but white space', () => {
    fc.assert(
      fc.property(texts, sizes, (text, options) => {
        const chunks = chunkText(text, options);
        expect(chunks.map((chunk) => chunk.ordinal)).toEqual(chunks.map((_, index) => index));
        let previousEnd = 0;
        for (const chunk of chunks) {
          expect(chunk.text).toBe(text.slice(chunk.start, chunk.end));
          expect(chunk.text).toBe(chunk.text.trim());
          expect(chunk.start).toBeGreaterThanOrEqual(previousEnd);
          expect(chunk.end).toBeGreaterThan(chunk.start);
          previousEnd = chunk.end;
        }
        expect(uncovered(text, chunks).trim()).toBe('');
      }),
      { numRuns: 400 },
    );
  });

  it('stays within the largest size and never parts a surrogate pair', () => {
    fc.assert(
      fc.property(texts, sizes, (text, options) => {
        for (const chunk of chunkText(text, options)) {
          expect(chunk.tokens).toBeLessThanOrEqual(options.maxTokens);
          expect(splitsPair(text, chunk.start) || splitsPair(text, chunk.end)).toBe(false);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('gives the same chunks each time, and does not depend on white space at the end', () => {
    fc.assert(
      fc.property(texts, sizes, (text, options) => {
        const chunks = chunkText(text, options);
        expect(chunkText(text, options)).toEqual(chunks);
        expect(chunkText(text.trimEnd(), options)).toEqual(chunks);
      }),
    );
  });

  it('repeats at most the overlap, and nothing else changes', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const plain = chunkText(text, { targetTokens: 60, maxTokens: 100 });
        const overlapping = chunkText(text, { targetTokens: 60, maxTokens: 100, overlapTokens: 30 });
        expect(overlapping.map((chunk) => chunk.end)).toEqual(plain.map((chunk) => chunk.end));
        for (const [index, chunk] of overlapping.entries()) {
          const without = plain[index];
          expect(chunk.text).toBe(text.slice(chunk.start, chunk.end));
          expect(chunk.start).toBeLessThanOrEqual(without?.start ?? -1);
          expect(chunk.tokens).toBeLessThanOrEqual((without?.tokens ?? 0) + 31);
        }
      }),
    );
  });
});

describe('chunkText on structured text', () => {
  const sentence = 'The quick brown fox jumps over the lazy dog near the river bank. ';
  const small: ChunkOptions = { targetTokens: 40, maxTokens: 80 };

  it('names the headings a passage stands under', () => {
    const text = `# Guide\n\n${sentence.repeat(3)}\n\n## Install\n\n${sentence.repeat(3)}\n\n### On Linux ###\n\n${sentence.repeat(3)}\n\n## [Use](./use.md) *it*\n\n${sentence.repeat(3)}`;
    expect(chunkText(text, small).map((chunk) => chunk.heading)).toEqual([
      'Guide',
      'Guide > Install',
      'Guide > Install > On Linux',
      'Guide > Use it',
    ]);
  });

  it('reads underlined headings', () => {
    const text = `Title\n=====\n\n${sentence.repeat(3)}\n\nPart\n----\n${sentence.repeat(3)}`;
    expect(chunkText(text, small).map((chunk) => chunk.heading)).toEqual(['Title', 'Title > Part']);
  });

  it('does not take a comment in a code fence for a heading, and keeps the fence together', () => {
    const code = '```sh\n# install\nnpm ci\n\n# run\nnpm start\n```';
    const text = `${sentence.repeat(3)}\n\n${code}\n\n${sentence.repeat(3)}`;
    const chunks = chunkText(text, small);
    expect(chunks.filter((chunk) => chunk.text.includes(code))).toHaveLength(1);
    expect(chunks.map((chunk) => chunk.heading)).toEqual(chunks.map(() => ''));
  });

  it('keeps a table that fits together and breaks a long one between rows', () => {
    const rows = (count: number) =>
      Array.from({ length: count }, (_, row) => `| row ${row} | value |`).join('\n');
    const table = `| name | value |\n| --- | --- |\n${rows(4)}`;
    const around = chunkText(`${sentence.repeat(3)}\n\n${table}\n\n${sentence.repeat(3)}`, small);
    expect(around.filter((chunk) => chunk.text.includes(table))).toHaveLength(1);
    for (const chunk of chunkText(rows(60), small)) expect(chunk.text).toMatch(/^\|[\s\S]*\|$/);
  });

  it('ends passages of prose at sentences', () => {
    const text = 'Dr. Smith met e.g. Mr. Jones at 3 p.m. in Bonn. '.repeat(40).trim();
    for (const chunk of chunkText(text, small)) expect(chunk.text).toMatch(/^Dr\. [\s\S]* Bonn\.$/);
  });

  it('ends passages of Chinese at sentences', () => {
    const text = '今天天气很好，我们去公园散步。'.repeat(40);
    for (const chunk of chunkText(text, small)) expect(chunk.text).toMatch(/^今[\s\S]*。$/);
  });

  it('does not leave a heading at the end of a passage', () => {
    const text = Array.from({ length: 20 }, (_, part) => `## Part ${part}\n\n${sentence.repeat(2)}`).join(
      '\n\n',
    );
    for (const chunk of chunkText(text, small)) expect(chunk.text).toMatch(/\.$/);
  });

  it('has nothing to give for nothing', () => {
    expect(chunkText('')).toEqual([]);
    expect(chunkText(' \n\t\u00a0\ufeff\n')).toEqual([]);
  });

  it('cuts five million letters without a space into bounded parts', () => {
    const text = 'a'.repeat(5_000_000);
    const chunks = chunkText(text);
    expect(chunks.map((chunk) => chunk.text).join('')).toBe(text);
    expect(chunks.every((chunk) => chunk.tokens <= defaultChunkOptions.maxTokens)).toBe(true);
  });

  it('refuses sizes that contradict each other', () => {
    expect(() => chunkText('a', { targetTokens: 500, maxTokens: 400 })).toThrow(RangeError);
    expect(() => chunkText('a', { maxTokens: 3, targetTokens: 2 })).toThrow(RangeError);
    expect(() => chunkText('a', { overlapTokens: 400 })).toThrow(RangeError);
  });
});
