import { describe, expect, it } from 'vitest';
import { tierFor } from './answer-question.ts';
import { COVERED_FROM, coverage } from './passages/coverage.ts';

describe('the tier that answers first', () => {
  const question = 'Within how many working days are refunds paid?';

  it('is the economical one below the line from which on passages cover a question', () => {
    expect(tierFor(0)).toBe('economical');
    expect(tierFor(COVERED_FROM - 0.001)).toBe('economical');
    expect(tierFor(COVERED_FROM)).toBeUndefined();
    expect(tierFor(1)).toBeUndefined();
  });

  it('is the first one where a passage answers, and the economical one where none speaks of the question', () => {
    const answering = 'Refunds are paid within five working days of the return.';
    expect(tierFor(coverage(question, [answering]))).toBeUndefined();
    expect(tierFor(coverage(question, ['The red pump weighs 40 kg.']))).toBe('economical');
  });
});
