import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBoundedQueue } from './bounded-queue.ts';

describe('a bounded queue', () => {
  it('gives everything once, in order, and never holds more than it may', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 30 }),
        async (capacity, pauses) => {
          const queue = createBoundedQueue<number>(capacity, new AbortController().signal);
          let held = 0;
          let most = 0;
          const make = async () => {
            for (const [item, pause] of pauses.entries()) {
              for (let i = 0; i < pause; i++) await Promise.resolve();
              await queue.put(item);
              held++;
              most = Math.max(most, held);
            }
            queue.end();
          };
          const taken: number[] = [];
          const take = async () => {
            for (let item = await queue.take(); item !== null; item = await queue.take()) {
              held--;
              taken.push(item);
              await Promise.resolve();
            }
          };
          await Promise.all([make(), take()]);
          expect(taken).toEqual(pauses.map((_, item) => item));
          // The maker counts an item before the taker, who may have it already, takes it off.
          expect(most).toBeLessThanOrEqual(capacity + 1);
        },
      ),
    );
  });

  it('lets nobody wait after an abort', async () => {
    const stop = new AbortController();
    const queue = createBoundedQueue<number>(1, stop.signal);
    await queue.put(1);
    const full = queue.put(2);
    const other = createBoundedQueue<number>(1, stop.signal);
    const empty = other.take();
    stop.abort(new Error('enough'));
    await expect(full).rejects.toThrow('enough');
    await expect(empty).rejects.toThrow('enough');
  });
});
