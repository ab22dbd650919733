import { describe, expect, it } from 'vitest';
import { WaitingRoom } from './waiting-room.ts';

describe('the waiting room', () => {
  it('has room for another tenant, however many calls of one wait', () => {
    const room = new WaitingRoom({ sleep: () => Promise.resolve() });
    const entered = Array.from({ length: 10 }, () => room.enter('one', 6));
    expect(entered.filter(Boolean)).toHaveLength(3);
    expect([room.enter('two', 6), room.enter('two', 6), room.enter('three', 6)]).toEqual([true, true, true]);
    expect(room.enter('four', 6)).toBe(false);
    room.leave('one');
    expect(room.waiting).toBe(5);
    expect(room.enter('one', 6)).toBe(true);
  });
});
