import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFairGate } from './fair-gate.ts';

const works = fc.array(
  fc.record({
    party: fc.constantFrom('a', 'b', 'c'),
    weight: fc.integer({ min: 0, max: 14 }),
    steps: fc.nat(4),
  }),
  { maxLength: 30 },
);

test('never holds more than its capacity, except one that is heavier by itself, and serves everything', async () => {
  await fc.assert(
    fc.asyncProperty(works, fc.scheduler(), async (pieces, scheduler) => {
      const gate = createFairGate(10);
      const inside: number[] = [];
      let served = 0;
      const all = pieces.map(({ party, weight, steps }) =>
        gate.through(party, weight, async () => {
          inside.push(weight);
          const sum = inside.reduce((total, one) => total + one, 0);
          const heavy = inside.filter((one) => one > 0);
          expect(sum <= 10 || heavy.length === 1).toBe(true);
          for (let step = 0; step < steps; step += 1) await scheduler.schedule(Promise.resolve());
          inside.splice(inside.indexOf(weight), 1);
          served += 1;
        }),
      );
      await scheduler.waitFor(Promise.all(all));
      expect(served).toBe(pieces.length);
    }),
  );
});

test('a party with much to do does not keep another waiting for more than a turn', async () => {
  const gate = createFairGate(1);
  const order: string[] = [];
  const pieces = ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'b2'];
  await Promise.all(
    pieces.map((name) =>
      gate.through(name.slice(0, 1), 1, async () => {
        order.push(name);
      }),
    ),
  );
  expect(order).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
});

test('heavy work gets its turn although light work keeps coming, and a failure gives its room back', async () => {
  const gate = createFairGate(10);
  const order: string[] = [];
  let finish = () => {};
  const first = gate.through('a', 6, () => new Promise<void>((resolve) => (finish = resolve)));
  const heavy = gate.through('b', 12, async () => {
    order.push('heavy');
    throw new Error('went wrong');
  });
  const light = gate.through('c', 1, async () => {
    order.push('light');
  });
  await Promise.resolve();
  expect(order).toEqual([]);
  finish();
  await expect(heavy).rejects.toThrow('went wrong');
  await Promise.all([first, light]);
  expect(order).toEqual(['heavy', 'light']);
});
