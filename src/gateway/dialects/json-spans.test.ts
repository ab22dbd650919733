import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findMembers, isDeeperThan, lastSpan, splice } from './json-spans.ts';

const bytesOf = (text: string) => Buffer.from(text, 'utf8');

/** JSON text written with every freedom JSON leaves: blanks, equal keys, keys spelled with escapes. */
const blank = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
const escapedKey = (key: string) =>
  fc
    .array(fc.boolean(), { minLength: key.length, maxLength: key.length })
    .map(
      (escaped) =>
        `"${[...key].map((char, n) => (escaped[n] ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}` : char)).join('')}"`,
    );
const key = fc.oneof(
  escapedKey('model'),
  escapedKey('stream'),
  fc.constantFrom('"models"', '"mode"', '"\\"model"', '"model\\\\"', '"__proto__"'),
  fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
);
const value = fc.oneof(
  fc.json({ maxDepth: 4 }),
  fc.constantFrom('"\\\\"', '"\\\\\\""', '{"model":"inner"}', '[{"model":1},"}"]', `"${'x'.repeat(200)}\\""`),
  fc.string({ unit: 'binary', minLength: 50, maxLength: 200 }).map((text) => JSON.stringify(text)),
);
const object = fc
  .array(fc.tuple(blank, key, blank, blank, value, blank), { maxLength: 6 })
  .map((members) => `{${members.map(([a, k, b, c, v, d]) => `${a}${k}${b}:${c}${v}${d}`).join(',')}}`);

describe('finding members of a JSON object', () => {
  it('sees the value that JSON.parse sees, whatever the spelling', () => {
    fc.assert(
      fc.property(blank, object, blank, (before, text, after) => {
        const bytes = bytesOf(before + text + after);
        const parsed: Record<string, unknown> = JSON.parse(text);
        const members = findMembers(bytes, ['model', 'stream']);
        expect(members.end).toBe(bytesOf(before + text).length);
        for (const name of ['model', 'stream']) {
          const span = lastSpan(members, name);
          expect(span !== undefined).toBe(Object.hasOwn(parsed, name));
          if (span) expect(JSON.parse(bytes.toString('utf8', span.start, span.end))).toEqual(parsed[name]);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('replaces a value and leaves every other byte alone', () => {
    fc.assert(
      fc.property(object, fc.string(), (text, replacement) => {
        const bytes = bytesOf(text);
        const { spans } = findMembers(bytes, ['model']);
        const by = bytesOf(JSON.stringify(replacement));
        const changed = splice(
          bytes,
          spans.map((span) => ({ ...span, by })),
        );
        const before: Record<string, unknown> = JSON.parse(text);
        const after: Record<string, unknown> = JSON.parse(changed.toString('utf8'));
        expect(after).toEqual(Object.hasOwn(before, 'model') ? { ...before, model: replacement } : before);
        // What is outside the spans is the same bytes.
        const kept = (whole: Buffer, parts: readonly { start: number; end: number }[]) =>
          parts.reduceRight(
            (rest, part) => Buffer.concat([rest.subarray(0, part.start), rest.subarray(part.end)]),
            whole,
          );
        expect(kept(changed, findMembers(changed, ['model']).spans)).toEqual(kept(bytes, spans));
      }),
      { numRuns: 1_000 },
    );
  });

  it('takes the last of equal keys and none from inside a value', () => {
    const bytes = bytesOf('{"model":"a","x":{"model":"b"},"mod\\u0065l":"c","y":"\\"model\\":1"}');
    const members = findMembers(bytes, ['model']);
    expect(members.spans).toHaveLength(2);
    expect(
      JSON.parse(bytes.toString('utf8', lastSpan(members, 'model')?.start, lastSpan(members, 'model')?.end)),
    ).toBe('c');
  });

  it('ends on any bytes at all, and says when they are no whole object', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        findMembers(Buffer.from(bytes), ['model']);
      }),
    );
    fc.assert(
      fc.property(object, fc.nat(), (text, cut) => {
        const bytes = bytesOf(text);
        expect(findMembers(bytes.subarray(0, cut % bytes.length), ['model']).end).toBe(-1);
      }),
    );
    for (const wrong of [
      '',
      '[]',
      '"model"',
      '{',
      '{"model"',
      '{"model":',
      '{"model":}',
      '{"model":1',
      '{"a":1,}',
    ]) {
      expect(findMembers(bytesOf(wrong), ['model']).end).toBe(-1);
    }
  });
});

describe('how deep JSON is nested', () => {
  const depthOf = (value: unknown): number =>
    typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;

  it('is seen as a parser sees it, whatever the strings hold', () => {
    fc.assert(
      fc.property(value, (text) => {
        const depth = depthOf(JSON.parse(text));
        expect(isDeeperThan(bytesOf(text), depth)).toBe(false);
        if (depth > 0) expect(isDeeperThan(bytesOf(text), depth - 1)).toBe(true);
      }),
    );
  });
});
