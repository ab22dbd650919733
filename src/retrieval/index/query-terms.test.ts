import { describe, expect, it } from 'vitest';
import { MAX_QUERY_TERMS, queryTerms } from './query-terms.ts';

describe('queryTerms', () => {
  it('takes each word with a subject once', () => {
    expect(queryTerms('What limits the limits of a "tenant" AND (budget:spent)?')).toEqual([
      'limits',
      'tenant',
      'budget',
      'spent',
    ]);
  });

  it('takes the others when there is nothing else', () => {
    expect(queryTerms('to be, or not to be')).toEqual(['to', 'be', 'or', 'not']);
  });

  it('finds nothing in a text without letters', () => {
    expect(queryTerms('')).toEqual([]);
    expect(queryTerms(' \n+-"()* 👍 \u0000')).toEqual([]);
  });

  it('is bounded, however long the query', () => {
    const long = Array.from({ length: 50_000 }, (_, index) => `word${index}`).join(' ');
    expect(queryTerms(long)).toHaveLength(MAX_QUERY_TERMS);
    expect(queryTerms('x'.repeat(1_000_000))).toEqual([]);
  });
});
