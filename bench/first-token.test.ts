import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFirstToken } from './first-token.ts';

const role = 'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n';
const token = 'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n';

test('the first text is told once, with the part that completes it, wherever the network cuts', () => {
  const stream = Buffer.from(role + token + token);
  const completed = stream.indexOf('"Hi"') + 2;
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length)), (cuts) => {
      const points = [0, ...cuts.toSorted((left, right) => left - right), stream.length];
      const finder = createFirstToken();
      const told = points.slice(1).filter((to, part) => finder.comesWith(stream, points[part] ?? 0, to));
      expect(told).toEqual([points.find((point) => point >= completed)]);
    }),
  );
});

test('each reply has a first text of its own, and one without text has none', () => {
  const finder = createFirstToken();
  const comes = (text: string) => finder.comesWith(Buffer.from(text), 0, Buffer.byteLength(text));
  expect(comes(token)).toBe(true);
  expect(comes(token)).toBe(false);
  finder.reset();
  expect(comes(role)).toBe(false);
  expect(comes(token)).toBe(true);
});
