/**
 * How the simulator sees words, for its embeddings and for its extractive answers: lower-cased, lightly stemmed,
 * and without the little words when meaning is compared.
 */

const wordPattern = /[\p{L}\p{N}]+(?:'[\p{L}]+)?/gu;
const unspacedScript = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

const littleWords = new Set(
  `a about above after again all also am an and any are as at be because been before being below between both but by
  can could did do does doing down during each few for from further get had has have having he her here hers him his
  how i if in into is it its itself just may me might more most much must my no nor not of off on once only or other
  our ours out over own per same shall she should so some such than that the their theirs them then there these they
  this those through to too under until up upon us very was we were what when where which while who whom whose why
  will with would you your yours tell give please many according`.split(/\s+/),
);

/** Every word of a text, stemmed, in order, little words included. */
export function stemsOf(text: string): string[] {
  const stems: string[] = [];
  for (const [word] of text.normalize('NFKC').toLowerCase().matchAll(wordPattern)) {
    if (unspacedScript.test(word)) stems.push(...characterPairs(word));
    else stems.push(stem(word));
  }
  return stems;
}

/** The stems that carry meaning: those of words that are not little words. */
export function termsOf(text: string): string[] {
  return stemsOf(text).filter((word) => !littleWords.has(word));
}

/** Whether a stem is one of the little words that say nothing about a subject. */
export function isLittleWord(word: string): boolean {
  return littleWords.has(word);
}

/**
 * Brings the common English forms of a word to one form: refunds, refunded, refunding -> refund. Light on purpose:
 * it only has to make a question and its answer meet, not to be a linguist.
 */
export function stem(word: string): string {
  const bare = word.replace(/'.*$/u, '');
  if (bare.length < 4 || littleWords.has(bare)) return bare;
  const singular = withoutPlural(bare);
  const plain = withoutEnding(singular);
  return plain.length > 4 && plain.endsWith('e') ? plain.slice(0, -1) : plain;
}

function withoutPlural(word: string): string {
  if (/(?:ss|us|is)$/u.test(word)) return word;
  if (word.endsWith('ies') && word.length > 4) return `${word.slice(0, -3)}y`;
  if (/(?:x|ch|sh|ss|z)es$/u.test(word)) return word.slice(0, -2);
  return word.endsWith('s') ? word.slice(0, -1) : word;
}

function withoutEnding(word: string): string {
  const ending = /(?:ing|ed|ly)$/u.exec(word)?.[0];
  if (ending === undefined || word.length - ending.length < 3) return word;
  const root = word.slice(0, -ending.length);
  return /([bdfgmnprt])\1$/u.test(root) ? root.slice(0, -1) : root;
}

/** Scripts written without spaces: pairs of neighbouring characters stand in for words. */
function characterPairs(word: string): string[] {
  const characters = [...word];
  if (characters.length < 2) return characters;
  return characters.slice(1).map((character, index) => `${characters[index]}${character}`);
}
