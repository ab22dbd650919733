import { describe, expect, it } from 'vitest';
import { Deadlines } from './deadlines.ts';

describe('deadlines', () => {
  it('are looked at each time, but not right after the process stood still', () => {
    const looks: number[] = [];
    const deadlines = new Deadlines(100);
    const watched = { look: (nowMs: number) => looks.push(nowMs) };
    deadlines.add(watched);
    for (const nowMs of [5_000, 5_100, 5_290, 7_000, 7_100]) deadlines.look(nowMs);
    expect(looks).toEqual([5_000, 5_100, 5_290, 7_100]);
    deadlines.remove(watched);
    deadlines.look(7_200);
    expect(looks).toHaveLength(4);
  });
});
