/** Digits as they are written, with what stands between them in one number. */
const number = /\d+(?:[.,:/-]\d+)*/g;
/** Words that turn a question round, in the languages most often asked in here: English, German, French, Spanish. */
const negation =
  /(?<![\p{L}\p{N}])(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|[a-z]+n['’]t|nicht|kein\p{L}*|nie|niemals|ohne|weder|ne|pas|jamais|sans|aucun\p{L}*|sin|nunca|ning\p{L}*)(?![\p{L}\p{N}])/giu;

/**
 * What two questions must have in common besides their meaning: their numbers, in order, and how often they say no.
 * Embeddings hardly see either, and an answer for 2.1 is no answer for 2.2.
 * @returns a text that is equal where these are.
 */
export function literalsOf(question: string): string {
  const numbers = question.match(number) ?? [];
  const negations = question.match(negation) ?? [];
  return `${numbers.join(' ')} | ${negations.length}`;
}
