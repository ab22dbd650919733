/**
 * The Porter2 ("Snowball English") stemmer, written from its published description:
 * https://snowballstem.org/algorithms/english/stemmer.html (the revision before 3.0, which is the one that the
 * search engine's own tokenizer implements; the integration test of the index holds the two together).
 */

const VOWELS = new Set(['a', 'e', 'i', 'o', 'u', 'y']);
const DOUBLES = new Set(['bb', 'dd', 'ff', 'gg', 'mm', 'nn', 'pp', 'rr', 'tt']);
const LI_ENDINGS = new Set(['c', 'd', 'e', 'g', 'h', 'k', 'm', 'n', 'r', 't']);

/** Words that the rules would get wrong, with their stems. */
const EXCEPTIONS = new Map([
  ['skis', 'ski'],
  ['skies', 'sky'],
  ['dying', 'die'],
  ['lying', 'lie'],
  ['tying', 'tie'],
  ['idly', 'idl'],
  ['gently', 'gentl'],
  ['ugly', 'ugli'],
  ['early', 'earli'],
  ['only', 'onli'],
  ['singly', 'singl'],
  ...['sky', 'news', 'howe', 'atlas', 'cosmos', 'bias', 'andes'].map((word) => [word, word] as const),
]);
/** Words that are finished once a plural `s` is gone. */
const FINISHED = new Set([
  'inning',
  'outing',
  'canning',
  'herring',
  'earring',
  'proceed',
  'exceed',
  'succeed',
]);

/** Suffix replacements of step 2, longest first; `li` and `ogi` have conditions of their own. */
const STEP_2: readonly (readonly [string, string])[] = [
  ['ational', 'ate'],
  ['fulness', 'ful'],
  ['iveness', 'ive'],
  ['ization', 'ize'],
  ['ousness', 'ous'],
  ['biliti', 'ble'],
  ['lessli', 'less'],
  ['tional', 'tion'],
  ['alism', 'al'],
  ['aliti', 'al'],
  ['ation', 'ate'],
  ['entli', 'ent'],
  ['fulli', 'ful'],
  ['iviti', 'ive'],
  ['ousli', 'ous'],
  ['abli', 'able'],
  ['alli', 'al'],
  ['anci', 'ance'],
  ['ator', 'ate'],
  ['enci', 'ence'],
  ['izer', 'ize'],
  ['bli', 'ble'],
  ['ogi', 'og'],
  ['li', ''],
];
/** Suffix replacements of step 3, longest first; `ative` must lie in the second region. */
const STEP_3: readonly (readonly [string, string])[] = [
  ['ational', 'ate'],
  ['tional', 'tion'],
  ['alize', 'al'],
  ['ative', ''],
  ['icate', 'ic'],
  ['iciti', 'ic'],
  ['ical', 'ic'],
  ['ness', ''],
  ['ful', ''],
];
/** Suffixes that step 4 removes from the second region, longest first. */
const STEP_4 = [
  'ement',
  'able',
  'ance',
  'ence',
  'ible',
  'ment',
  'ant',
  'ate',
  'ent',
  'ion',
  'ism',
  'iti',
  'ive',
  'ize',
  'ous',
  'al',
  'er',
  'ic',
];

/**
 * The stem of one English word: `indexing`, `indexes` and `indexed` all give `index`.
 * `word` must be lower case; words of letters other than a–z come back as they are, or shortened harmlessly.
 */
export function stem(word: string): string {
  if (word.length <= 2) return word;
  const exception = EXCEPTIONS.get(word);
  if (exception !== undefined) return exception;

  let stemmed = markConsonantY(word.startsWith("'") ? word.slice(1) : word);
  // Regions are positions in the unshortened word: suffix removal never moves their starts.
  const r1 = firstRegion(stemmed);
  const r2 = regionAfter(stemmed, r1);

  stemmed = removePlural(stemmed.replace(/'(?:s'?)?$/, ''));
  if (!FINISHED.has(stemmed)) {
    stemmed = removePastAndParticiple(stemmed, r1);
    stemmed = stemmed.replace(/(?<=.[^aeiouy])[yY]$/, 'i');
    stemmed = replaceSuffix(stemmed, STEP_2, (head, suffix) => {
      if (head.length < r1) return false;
      if (suffix === 'ogi') return head.endsWith('l');
      return suffix !== 'li' || LI_ENDINGS.has(head.slice(-1));
    });
    stemmed = replaceSuffix(stemmed, STEP_3, (head, suffix) => head.length >= (suffix === 'ative' ? r2 : r1));
    stemmed = removeResidualSuffix(stemmed, r2);
    stemmed = removeFinalLetter(stemmed, r1, r2);
  }
  return stemmed.replaceAll('Y', 'y');
}

const isVowel = (letter: string | undefined) => letter !== undefined && VOWELS.has(letter);

/** A `y` at the start or after a vowel acts as a consonant: it is marked by a capital until the end. */
function markConsonantY(word: string): string {
  if (!word.includes('y')) return word;
  let marked = '';
  for (const letter of word) {
    marked += letter === 'y' && (marked === '' || isVowel(marked.at(-1))) ? 'Y' : letter;
  }
  return marked;
}

/** Where the part after the first "vowel, consonant" pair at or after `from` begins. */
function regionAfter(word: string, from: number): number {
  for (let at = from + 1; at < word.length; at++) {
    if (isVowel(word[at - 1]) && !isVowel(word[at])) return at + 1;
  }
  return word.length;
}

function firstRegion(word: string): number {
  const prefix = /^(?:gener|commun|arsen)/.exec(word);
  return prefix ? prefix[0].length : regionAfter(word, 0);
}

function endsInShortSyllable(word: string): boolean {
  const last = word.at(-1);
  if (last === undefined || isVowel(last) || !isVowel(word.at(-2))) return false;
  if (word.length === 2) return true;
  return !'wxY'.includes(last) && !isVowel(word.at(-3));
}

function removePlural(word: string): string {
  if (word.endsWith('sses')) return word.slice(0, -2);
  if (word.endsWith('ied') || word.endsWith('ies')) return word.slice(0, word.length > 4 ? -2 : -1);
  if (word.endsWith('us') || word.endsWith('ss') || !word.endsWith('s')) return word;
  return /[aeiouy]/.test(word.slice(0, -2)) ? word.slice(0, -1) : word;
}

function removePastAndParticiple(word: string, r1: number): string {
  const eed = /eed(?:ly)?$/.exec(word);
  if (eed) return eed.index >= r1 ? word.slice(0, eed.index + 2) : word;
  const ending = /(?:ed|ing)(?:ly)?$/.exec(word);
  if (!ending || !/[aeiouy]/.test(word.slice(0, ending.index))) return word;
  const head = word.slice(0, ending.index);
  if (/(?:at|bl|iz)$/.test(head)) return `${head}e`;
  if (DOUBLES.has(head.slice(-2))) return head.slice(0, -1);
  return head.length <= r1 && endsInShortSyllable(head) ? `${head}e` : head;
}

/** Only the longest suffix that matches is looked at: when its condition fails, nothing changes. */
function replaceSuffix(
  word: string,
  table: readonly (readonly [string, string])[],
  allowed: (head: string, suffix: string) => boolean,
): string {
  for (const [suffix, replacement] of table) {
    if (!word.endsWith(suffix)) continue;
    const head = word.slice(0, -suffix.length);
    return allowed(head, suffix) ? head + replacement : word;
  }
  return word;
}

function removeResidualSuffix(word: string, r2: number): string {
  for (const suffix of STEP_4) {
    if (!word.endsWith(suffix)) continue;
    const head = word.slice(0, -suffix.length);
    return head.length >= r2 && (suffix !== 'ion' || /[st]$/.test(head)) ? head : word;
  }
  return word;
}

function removeFinalLetter(word: string, r1: number, r2: number): string {
  const head = word.slice(0, -1);
  if (word.endsWith('e')) {
    return head.length >= r2 || (head.length >= r1 && !endsInShortSyllable(head)) ? head : word;
  }
  return word.endsWith('ll') && head.length >= r2 ? head : word;
}
