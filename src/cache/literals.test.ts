import { describe, expect, it } from 'vitest';
import { literalsOf } from './literals.ts';

describe('what questions that share an answer have in common', () => {
  it('is their numbers and how often they say no', () => {
    const apart = [
      ['What changed in 2.1?', 'What changed in 2.2?'],
      ['At 8:30 or 9:30?', 'At 9:30 or 8:30?'],
      ['Which foods contain nuts?', 'Which foods do not contain nuts?'],
      ['Can I park without a permit?', 'Can I park with a permit?'],
      ["Why doesn't it start?", 'Why does it start?'],
      ['Ist es erlaubt?', 'Ist es nicht erlaubt?'],
      ['Hat er einen Pass?', 'Hat er keinen Pass?'],
    ];
    for (const [a = '', b = ''] of apart) expect(literalsOf(a)).not.toBe(literalsOf(b));
    const together = [
      ['What changed in 2.1?', 'Tell me what is new in 2.1'],
      ["Why doesn't it start?", 'Why does it not start?'],
      ['Is the knot notable?', 'Is that knot a notable one?'],
    ];
    for (const [a = '', b = ''] of together) expect(literalsOf(a)).toBe(literalsOf(b));
  });
});
