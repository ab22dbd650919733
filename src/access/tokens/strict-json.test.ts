import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { strictJsonObject } from './strict-json.ts';

const names = fc.oneof(fc.constantFrom('a', 'sub', 'a"b', 'x:y', '\\', '{', ' '), fc.string());
const values = fc.jsonValue({ maxDepth: 3 });
const withoutNul = (text: string) => !text.includes('\\u0000');

describe('a strict JSON object', () => {
  it('is whatever JSON writes', () => {
    fc.assert(
      fc.property(fc.dictionary(names, values), (given) => {
        const text = JSON.stringify(given);
        fc.pre(withoutNul(text));
        expect(strictJsonObject(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('has no name twice, at any depth, however it is written', () => {
    fc.assert(
      fc.property(fc.dictionary(names, values), names, values, values, (given, name, one, other) => {
        const pairs = [...Object.entries(given), [name, one], [name, other]] as const;
        const escaped = (text: string) =>
          `"${[...Array(text.length).keys()].map((i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`;
        const inner = pairs
          .map(
            ([key, value], i) =>
              `${i === pairs.length - 1 ? escaped(key) : JSON.stringify(key)} : ${JSON.stringify(value)}`,
          )
          .join(', ');
        expect(strictJsonObject(`{${inner}}`)).toBeNull();
        expect(strictJsonObject(`{"outer": [{${inner}}]}`)).toBeNull();
      }),
    );
  });

  it.each([
    '',
    'null',
    '[]',
    '"text"',
    '{',
    '{"a":1}{',
    '{"a":"\u0000"}',
    '{"a":"\\u0000"}',
    `{"a":${'['.repeat(20)}${']'.repeat(20)}}`,
  ])('is not %j', (text) => expect(strictJsonObject(text)).toBeNull());
});
