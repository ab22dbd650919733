import { describe, expect, it } from 'vitest';
import { createIds, isUuid } from './ids.ts';
import { systemRandom } from './random.ts';

describe('ids', () => {
  it('are UUIDs of version 7 that sort by time and do not repeat', () => {
    let now = 1_700_000_000_000;
    const newId = createIds({ now: () => new Date(now) }, systemRandom);
    const early = newId();
    now += 1;
    const late = newId();
    expect(early).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(early < late).toBe(true);
    expect(Number.parseInt(early.replaceAll('-', '').slice(0, 12), 16)).toBe(1_700_000_000_000);
    const many = Array.from({ length: 10_000 }, newId);
    expect(new Set(many).size).toBe(10_000);
    // All of one millisecond, more than it can count.
    expect([...many].sort()).toEqual(many);
    expect(isUuid(early)).toBe(true);
    expect(isUuid(`${early}x`)).toBe(false);
  });
});
