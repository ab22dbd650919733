import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createKeyedQueue } from './keyed-queue.ts';

describe('createKeyedQueue', () => {
  it('runs work of one key in order and never two at once, whatever fails and whenever it ends', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.record({ key: fc.constantFrom('a', 'b'), fails: fc.boolean() }), { maxLength: 20 }),
        async (scheduler, works) => {
          const queue = createKeyedQueue({ maxWaiting: 100 });
          const running = new Set<string>();
          const finished: Record<string, number[]> = { a: [], b: [] };
          const results = works.map(({ key, fails }, number) =>
            queue.run(key, async () => {
              expect(running.has(key)).toBe(false);
              running.add(key);
              await scheduler.schedule(Promise.resolve());
              running.delete(key);
              finished[key]?.push(number);
              if (fails) throw new Error(`work ${number}`);
              return number;
            }),
          );
          const outcomes = Promise.allSettled(results);
          await scheduler.waitFor(outcomes);
          for (const [number, outcome] of (await outcomes).entries()) {
            expect(outcome.status).toBe(works[number]?.fails ? 'rejected' : 'fulfilled');
          }
          for (const numbers of Object.values(finished))
            expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
          await queue.idle();
        },
      ),
      { numRuns: 50 },
    );
  });

  it('refuses more than may wait, and takes work again afterwards', async () => {
    const queue = createKeyedQueue({ maxWaiting: 2 });
    const gate = Promise.withResolvers<void>();
    const first = queue.run('a', () => gate.promise);
    const second = queue.run('a', async () => 'second');
    await expect(queue.run('a', async () => 'third')).rejects.toMatchObject({ code: 'overloaded' });
    await expect(queue.run('b', async () => 'other')).resolves.toBe('other');
    gate.resolve();
    await first;
    await expect(second).resolves.toBe('second');
    await queue.idle();
    await expect(queue.run('a', async () => 'later')).resolves.toBe('later');
  });
});
