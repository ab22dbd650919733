import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Entry, entryBytes } from './entry.ts';
import { createMemoryLevel } from './memory-level.ts';

const at = 1_000_000;
const never = Number.MAX_SAFE_INTEGER;

function entryOf(key: string, length = 10, tags: readonly string[] = []): Entry {
  return {
    kind: 'model',
    key,
    body: Buffer.alloc(length),
    facts: '',
    tags,
    costNanoUsd: null,
    storedAtMs: at,
    expiresAtMs: at,
    staleUntilMs: at,
    computeMs: 1,
  };
}

describe('memory for entries', () => {
  it('never holds more bytes than it may, keeps what was used last, and counts what it holds', () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constant('put' as const),
          key: fc.nat(20),
          size: fc.nat(6_000),
          tag: fc.nat(3),
        }),
      },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('get' as const), key: fc.nat(20) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('removeTag' as const), tag: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('removeKey' as const), key: fc.nat(20) }) },
    );
    const maxBytes = 20_000;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const level = createMemoryLevel(maxBytes);
        // The reference: a list in the order of use.
        let model: { key: string; tag: string; bytes: number }[] = [];
        for (const given of steps) {
          if (given.do === 'put') {
            const entry = entryOf(`k${given.key}`, given.size, [`t${given.tag}`]);
            const bytes = entryBytes(entry);
            expect(level.put('tenant', entry, level.mark(), never)).toBe('kept');
            model = [
              ...model.filter(({ key }) => key !== entry.key),
              { key: entry.key, tag: `t${given.tag}`, bytes },
            ];
            while (model.reduce((sum, held) => sum + held.bytes, 0) > maxBytes) model.shift();
          } else if (given.do === 'get') {
            const key = `k${given.key}`;
            const known = model.find((held) => held.key === key);
            expect(level.get('tenant', key, at)?.key).toBe(known?.key);
            if (known) model = [...model.filter((held) => held !== known), known];
          } else if (given.do === 'removeTag') {
            const going = model.filter(({ tag }) => tag === `t${given.tag}`);
            expect(level.removeTag('tenant', `t${given.tag}`)).toBe(going.length);
            model = model.filter((held) => !going.includes(held));
          } else {
            level.removeKey('tenant', `k${given.key}`);
            model = model.filter(({ key }) => key !== `k${given.key}`);
          }
          const bytes = model.reduce((sum, held) => sum + held.bytes, 0);
          expect(level.usage()).toEqual({ entries: model.length, bytes });
          expect(level.usage('tenant')).toEqual({ entries: model.length, bytes });
          expect(level.usage().bytes).toBeLessThanOrEqual(maxBytes);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('keeps tenants apart, for equal keys and equal tags', () => {
    const level = createMemoryLevel(100_000);
    level.put('a', entryOf('k', 1, ['document:1']), level.mark(), never);
    level.put('b', entryOf('k', 2, ['document:1']), level.mark(), never);
    expect(level.get('a', 'k', at)?.body.length).toBe(1);
    expect(level.removeTag('a', 'document:1')).toBe(1);
    expect(level.get('a', 'k', at)).toBeNull();
    expect(level.get('b', 'k', at)?.body.length).toBe(2);
    expect(level.removeTenant('b')).toBe(1);
    expect(level.usage()).toEqual({ entries: 0, bytes: 0 });
  });

  it('does not take back what was removed while it was made', () => {
    const removals: [string, (level: ReturnType<typeof createMemoryLevel>) => void][] = [
      ['its key', (level) => level.removeKey('a', 'k')],
      ['a tag of it', (level) => level.removeTag('a', 'document:1')],
      ['its tenant', (level) => level.removeTenant('a')],
      ['everything', (level) => level.removeAll()],
    ];
    for (const [what, remove] of removals) {
      const level = createMemoryLevel(100_000);
      const mark = level.mark();
      remove(level);
      const put = (since: number) => level.put('a', entryOf('k', 1, ['document:1']), since, never);
      expect({ what, put: put(mark) }).toEqual({ what, put: 'removed' });
      expect({ what, put: put(level.mark()) }).toEqual({ what, put: 'kept' });
    }
    const level = createMemoryLevel(100_000);
    const mark = level.mark();
    level.removeTag('a', 'document:2');
    level.removeTenant('b');
    expect(level.put('a', entryOf('k', 1, ['document:1']), mark, never)).toBe('kept');
  });

  it('remembers a bounded number of removals, and keeps nothing that began before those it forgot', () => {
    const level = createMemoryLevel(100_000);
    const mark = level.mark();
    for (let n = 0; n < 5_000; n++) level.removeKey('a', `other${n}`);
    expect(level.put('a', entryOf('k'), mark, never)).toBe('removed');
    expect(level.put('a', entryOf('k'), level.mark(), never)).toBe('kept');
  });

  it('forgets an entry when its time here is over, and refuses what can never fit', () => {
    const level = createMemoryLevel(10_000);
    level.put('a', entryOf('k'), level.mark(), at);
    expect(level.get('a', 'k', at - 1)?.key).toBe('k');
    expect(level.get('a', 'k', at)).toBeNull();
    expect(level.usage().entries).toBe(0);
    expect(level.put('a', entryOf('k', 10_000), level.mark(), never)).toBe('too_large');
  });
});
