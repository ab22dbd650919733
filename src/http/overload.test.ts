import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { permissions } from '../access/index.ts';
import { createLevel, type Level, overloadThresholds, priorityOf, type Strain } from './overload.ts';

const { delayMs } = overloadThresholds;
const calm: Strain = { delayMs: 0, heap: 0.2 };
const busy: Strain = { delayMs, heap: 0.2 };
const drowning: Strain = { delayMs: 4 * delayMs, heap: 0.2 };
const levelsAfter = (looks: readonly Strain[], next = createLevel(overloadThresholds)): Level[] =>
  looks.map(next);
const times = (n: number, strain: Strain) => Array.from({ length: n }, () => strain);

describe('the level of overload', () => {
  it('rises when it lasts, and not for one long pause', () => {
    expect(levelsAfter([drowning, calm, busy, calm, drowning])).toEqual([0, 0, 0, 0, 0]);
    expect(levelsAfter([busy, busy])).toEqual([0, 1]);
    expect(levelsAfter([drowning, drowning])).toEqual([0, 2]);
    expect(levelsAfter(times(2, { delayMs: 0, heap: 0.9 }))).toEqual([0, 1]);
    expect(levelsAfter(times(2, { delayMs: 0, heap: 0.95 }))).toEqual([0, 2]);
  });

  it('falls a step at a time, after two seconds of calm each', () => {
    const levels = levelsAfter([drowning, drowning, ...times(16, calm)]);
    expect(levels.slice(2)).toEqual([...times(7, calm).map(() => 2), ...times(8, calm).map(() => 1), 0]);
  });

  it('does not come and go: whatever is seen, it takes two looks to rise and eight to fall', () => {
    const strain = fc.record({
      delayMs: fc.integer({ min: 0, max: 6 * delayMs }),
      heap: fc.double({ min: 0.1, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(strain, { maxLength: 300 }), (looks) => {
        const levels = levelsAfter(looks);
        let changed = -1;
        for (const [at, level] of levels.entries()) {
          const before = at === 0 ? 0 : (levels[at - 1] ?? 0);
          if (level === before) continue;
          expect(at - changed).toBeGreaterThanOrEqual(level > before ? 1 : 8);
          if (level > before) expect(at).toBeGreaterThan(0);
          changed = at;
        }
      }),
    );
  });

  it('stays where it is between half of what reaches it and all of it', () => {
    const between = times(100, { delayMs: delayMs * 0.7, heap: 0.2 });
    expect(new Set(levelsAfter(between))).toEqual(new Set([0]));
    expect(new Set(levelsAfter([busy, busy, ...between]).slice(1))).toEqual(new Set([1]));
  });
});

describe('the priority of a route', () => {
  it('keeps a reserve for health, metrics and whoever administers', () => {
    const reserve = permissions.filter((p) => priorityOf('/api/v1/any', p) === 'reserve');
    expect(reserve).toContain('keys:manage');
    expect(reserve).toContain('health:read');
    expect(reserve).not.toContain('models:call');
    expect(priorityOf('/health/ready', null)).toBe('reserve');
    expect(priorityOf('/docs/', null)).toBe('interactive');
  });

  it('puts what nobody waits for last', () => {
    expect(priorityOf('/api/v1/documents', 'documents:write')).toBe('background');
    expect(priorityOf('/v1/embeddings', 'models:call')).toBe('background');
    expect(priorityOf('/v1/chat/completions', 'models:call')).toBe('interactive');
  });
});
