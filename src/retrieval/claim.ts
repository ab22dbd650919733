import { contentWords, wordsOf } from './passages/terms.ts';

/** What a stretch of text says, as far as words tell: the same reading of a model's sentence and of a source. */
export interface Claim {
  /** Stems of the words that carry a subject, numbers and magnitudes left out. */
  readonly stems: ReadonlySet<string>;
  /** Numbers in digits or words, and magnitudes ("million", "percent"), in one spelling: `1000`, `3.5`, `million`. */
  readonly numbers: ReadonlySet<string>;
  /** Stems of names: capitalised words that do not open the sentence. */
  readonly names: ReadonlySet<string>;
  /** Stems that a "not" or "no" stands close before. */
  readonly negated: ReadonlySet<string>;
}

const numberWords: Readonly<Record<string, string>> = Object.fromEntries(
  (
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen ' +
    'seventeen eighteen nineteen twenty'
  )
    .split(' ')
    .map((word, value) => [word, String(value)])
    .concat([
      ['thirty', '30'],
      ['forty', '40'],
      ['fifty', '50'],
      ['sixty', '60'],
      ['seventy', '70'],
      ['eighty', '80'],
      ['ninety', '90'],
    ]),
);
const magnitudes: Readonly<Record<string, string>> = {
  hundred: 'hundred',
  hundreds: 'hundred',
  thousand: 'thousand',
  thousands: 'thousand',
  million: 'million',
  millions: 'million',
  billion: 'billion',
  billions: 'billion',
  trillion: 'trillion',
  trillions: 'trillion',
  percent: 'percent',
  percentage: 'percent',
};
const negators = new Set(['not', 'no', 'never', 'none', 'nor', 'neither', 'without', 'cannot']);
/** "no later than 5 days", "not only": these deny nothing. */
const afterHarmlessNegator = new Set([
  'later',
  'more',
  'less',
  'fewer',
  'only',
  'sooner',
  'earlier',
  'doubt',
]);
/** How many words a "not" reaches: "can no longer be denied". */
const negationReach = 3;

/** Reads one sentence. `stem` should be shared by everything that is compared. */
export function readClaim(text: string, stem: (word: string) => string): Claim {
  const stems = new Set(contentWords(text).filter(isPlainWord).map(stem));
  return { stems, numbers: numbersIn(text), names: namesIn(text, stem), negated: negatedIn(text, stem) };
}

function isPlainWord(word: string): boolean {
  return !/^\p{N}+$/u.test(word) && !(word in numberWords) && !(word in magnitudes);
}

/** Digits with their thousands set off and a fraction, or digits as they come. */
const writtenNumber =
  /\p{Nd}{1,3}(?:[.,'\u00a0\u202f ]\p{Nd}{3}(?!\p{Nd}))+(?:[.,]\p{Nd}+)?|\p{Nd}+(?:[.,]\p{Nd}+)?/gu;

/**
 * "1,000" and "1000" are one number, and so are "5" and "five". The word "one" is left out where it is a pronoun more
 * often than a number; `withOne` keeps it, for the side that is searched.
 */
export function numbersIn(text: string, withOne = false): Set<string> {
  const numbers = new Set<string>();
  for (const [digits] of text.matchAll(writtenNumber)) {
    numbers.add(plainNumber(digits));
  }
  if (text.includes('%')) numbers.add('percent');
  for (const word of wordsOf(text)) {
    const value = numberWords[word] ?? magnitudes[word];
    if (value !== undefined && (word !== 'one' || withOne)) numbers.add(value);
  }
  return numbers;
}

function plainNumber(digits: string): string {
  const ascii = digits.normalize('NFKD').replace(/(?<=\d)[.,'\u00a0\u202f ](?=\d{3}(?!\d))/gu, '');
  const [whole = '', fraction = ''] = ascii.split(/[.,]/);
  const trimmed = fraction.replace(/0+$/, '');
  return (whole.replace(/^0+(?=\d)/, '') || '0') + (trimmed === '' ? '' : `.${trimmed}`);
}

function namesIn(text: string, stem: (word: string) => string): Set<string> {
  const capitalised = [...text.matchAll(/(?<=[\p{Ll}\p{N},;:)]['’"”]?\s+['‘"“(]?)\p{Lu}[\p{L}\p{N}-]+/gu)];
  return new Set(capitalised.flatMap(([word]) => contentWords(word).filter(isPlainWord).map(stem)));
}

function negatedIn(text: string, stem: (word: string) => string): Set<string> {
  const words = wordsOf(text);
  const negated = new Set<string>();
  for (const [at, word] of words.entries()) {
    // "isn't" comes as "isn" and "t".
    const negates = negators.has(word) || (word === 't' && (words[at - 1] ?? '').endsWith('n'));
    if (!negates || afterHarmlessNegator.has(words[at + 1] ?? '')) continue;
    for (const reached of words.slice(at + 1, at + 1 + negationReach)) negated.add(stem(reached));
  }
  return negated;
}
