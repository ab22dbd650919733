import { contentWords, wordsOf } from '../passages/terms.ts';

/** Distinct words of a query that are searched for: each costs a posting list, and later ones are repetition. */
export const MAX_QUERY_TERMS = 64;
/** Text beyond this cannot change the first 64 words of any sensible query. */
const MAX_QUERY_CHARACTERS = 16_384;

/**
 * The words to look up for a query, distinct and in order: those with a subject, or all when there are no others
 * ("The Who"). Nothing in the query is an operator. Empty when it has no letter or digit.
 */
export function queryTerms(query: string): string[] {
  const text = query.slice(0, MAX_QUERY_CHARACTERS);
  const content = contentWords(text);
  const terms = new Set(content.length > 0 ? content : wordsOf(text));
  return [...terms].slice(0, MAX_QUERY_TERMS);
}
