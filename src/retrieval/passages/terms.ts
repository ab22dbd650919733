import { stem } from './stem.ts';

/** Words that carry no subject in English questions and texts. Compared with lower-case words before stemming. */
const STOP_WORDS = new Set(
  (
    'a about above after again against ain all also am an and any are aren as at be because been before being below ' +
    'between both but by can cannot could couldn d did didn do does doesn doing don done down during each either ' +
    'few for from further had hadn has hasn have haven having he her here hers herself him himself his how i if in ' +
    'into is isn it its itself just ll m ma may me might more most must mustn my myself needn neither no nor not ' +
    'now o of off on once only or other our ours ourselves out over own per re s same shall shan she should ' +
    'shouldn so some such t than that the their theirs them themselves then there these they this those through ' +
    'to too under until up upon us ve very was wasn we were weren what when where whether which while who whom ' +
    'whose why will with within without won would wouldn y you your yours yourself yourselves'
  ).split(' '),
);

/** Words with which people ask rather than what they ask about; sources need not repeat them. */
const ASKING_WORDS = new Set(
  (
    'according answer article cite cited describe described describes detail detailed details discuss discussed ' +
    'discusses document documents example examples explain explained find follow following give given gives ' +
    'identified identify indicate indicated indicates information key kind kinds list listed main many mean ' +
    'mention mentioned mentions much name named outline outlined passage please primary provide provided provides ' +
    'regard regarding report reported reports respect say says show shown shows significant source sources ' +
    'specific specifically state stated states summarise summarize tell text texts type types'
  ).split(' '),
);

/** Letters and digits in a row, in any script: how the index parts words too. */
const WORD = /[\p{Alphabetic}\p{N}]+/gu;
/** The same for text that is known to be ASCII and in lower case, several times faster. */
const ASCII_WORD = /[a-z0-9]+/g;
const NOT_ASCII = /[\u0080-\uffff]/;
/** Scripts that write words without spaces; only these are worth the slower segmenter. */
const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;
/** Longer runs are ciphers, not words; the index leaves them out as well. */
export const MAX_WORD_LENGTH = 40;
/** Stems remembered by one reader of texts: about the vocabulary of a large book. */
const MAX_REMEMBERED_STEMS = 20_000;

/** Letters that have no accent to take away, as they are written where they are missing. */
const PLAIN_LETTERS = new Map(
  Object.entries({
    ß: 'ss',
    ẞ: 'SS',
    ø: 'o',
    Ø: 'O',
    æ: 'ae',
    Æ: 'AE',
    œ: 'oe',
    Œ: 'OE',
    ł: 'l',
    Ł: 'L',
    đ: 'd',
    Đ: 'D',
    ı: 'i',
  }),
);

/**
 * Writes letters without accents and compatibility forms plainly (`café` → `cafe`, `ﬁ` → `fi`, `ß` → `ss`), so that
 * both spellings of a word meet in the index. Case stays; marks that change the sound in other scripts stay.
 */
export function fold(text: string): string {
  // Plain ASCII is most text, and needs none of it.
  if (!NOT_ASCII.test(text)) return text;
  return text
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .normalize('NFC')
    .replace(/[ßẞøØæÆœŒłŁđĐı]/g, (letter) => PLAIN_LETTERS.get(letter) ?? letter);
}

/** The words of a text in order, folded and in lower case; those over 40 characters are left out. */
export function wordsOf(text: string): string[] {
  const lower = fold(text).toLowerCase();
  if (!NOT_ASCII.test(lower)) return (lower.match(ASCII_WORD) ?? []).filter(isShortEnough);
  const runs = lower.match(WORD) ?? [];
  return runs.flatMap((run) => (UNSPACED.test(run) ? segment(run) : run)).filter(isShortEnough);
}

/** A text in which the words of `wordsOf` stand apart: folded, in lower case, with spaces where scripts have none. */
export function plainText(text: string): string {
  const lower = fold(text).toLowerCase();
  return UNSPACED.test(lower) ? wordsOf(text).join(' ') : lower;
}

/**
 * Finds words that begin in one of the given ways (letters and digits; at least one), in a `plainText`. Far faster
 * than going through all words. A beginning of one letter stands for that very word.
 */
export function createWordSearch(
  beginnings: Iterable<string>,
): (plain: string) => RegExpStringIterator<RegExpExecArray> {
  const letter = '[\\p{Alphabetic}\\p{N}]';
  const asciiLetter = '[a-z0-9]';
  const pattern = (any: string) => {
    const ways = Array.from(beginnings, (begin) =>
      begin.length > 1 ? `${begin}${any}*` : `${begin}(?!${any})`,
    );
    return `(?<!${any})(?:${ways.join('|')})`;
  };
  const anywhere = new RegExp(pattern(letter), 'gu');
  const inAscii = new RegExp(pattern(asciiLetter), 'g');
  return (plain) => plain.matchAll(NOT_ASCII.test(plain) ? anywhere : inAscii);
}

const isShortEnough = (run: string) => run.length <= MAX_WORD_LENGTH;

/** `wordsOf` without the words that carry no subject. */
export function contentWords(text: string): string[] {
  return wordsOf(text).filter((word) => !STOP_WORDS.has(word));
}

export function isStopWord(word: string): boolean {
  return STOP_WORDS.has(word);
}

/** Whether a word belongs to the asking (`according`, `mentioned`) rather than to what is asked. */
export function isAskingWord(word: string): boolean {
  return ASKING_WORDS.has(word);
}

/** Stems words and remembers what it has seen: texts repeat themselves. Make one per piece of work. */
export function createStemmer(): (word: string) => string {
  const known = new Map<string, string>();
  return (word) => {
    let stemmed = known.get(word);
    if (stemmed === undefined) {
      stemmed = stem(word);
      if (known.size < MAX_REMEMBERED_STEMS) known.set(word, stemmed);
    }
    return stemmed;
  };
}

const segmenter = new Intl.Segmenter('und', { granularity: 'word' });

function segment(run: string): string[] {
  return Array.from(segmenter.segment(run), ({ segment: word }) => word);
}
