import {
  contentWords,
  createStemmer,
  createWordSearch,
  isAskingWord,
  isStopWord,
  plainText,
  wordsOf,
} from './terms.ts';

/**
 * What a question asks for, in three readings of it: stems (any form of a word), words (the very form) and pairs
 * (two stems side by side).
 */
export interface QuestionItems {
  readonly stems: ReadonlySet<string>;
  readonly words: ReadonlySet<string>;
  readonly pairs: ReadonlySet<string>;
}

/** What a text has of a question. */
export interface FoundItems extends QuestionItems {
  /** How often it has each of the question's stems. */
  readonly counts: ReadonlyMap<string, number>;
  /** Its length in characters. */
  readonly length: number;
}

export const nothingFound: FoundItems = {
  stems: new Set(),
  words: new Set(),
  pairs: new Set(),
  counts: new Map(),
  length: 0,
};

export const KINDS = ['stems', 'words', 'pairs'] as const;

/** A question ready to be looked for in texts. */
export interface Question {
  readonly items: QuestionItems;
  /** Which of the question's items a text has. */
  find(text: string): FoundItems;
  /** Whether an item belongs to the asking rather than to what is asked. */
  isAsking(item: string): boolean;
  /** Whether a sentence puts this very question: as itself, as a FAQ does, or among other words, as an example does. */
  askedIn(sentence: string): 'itself' | 'mentioned' | null;
}

/** Items of a question beyond this many say nothing new; pasted essays must not cost more. */
const MAX_ITEMS = 64;

/** Takes a question apart: its content words, up to 64 distinct ones. */
export function parseQuestion(text: string): Question {
  const stem = createStemmer();
  const words = [...new Set(contentWords(text))].slice(0, MAX_ITEMS);
  const inOrder = contentWords(text)
    .slice(0, 4 * MAX_ITEMS)
    .map(stem);
  const items: QuestionItems = {
    words: new Set(words),
    stems: new Set(words.map(stem)),
    pairs: new Set(pairsOf(inOrder).slice(0, MAX_ITEMS)),
  };
  const asking = new Set(words.filter(isAskingWord).flatMap((word) => [word, stem(word)]));
  return {
    items,
    find: createFinder(items, stem),
    isAsking: (item) => asking.has(item),
    askedIn: createAskedIn(text),
  };
}

/** Fewer words with a question mark are a keyword search, whose words every good hit repeats. */
const fewestWordsOfQuestion = 3;

function createAskedIn(text: string): Question['askedIn'] {
  const plain = (words: string) => wordsOf(words).join(' ');
  const question = plain(text);
  if (!text.trimEnd().endsWith('?') || question.split(' ').length < fewestWordsOfQuestion) return () => null;
  return (sentence) => {
    if (!sentence.includes('?')) return null;
    const said = plain(sentence);
    if (!said.includes(question)) return null;
    // "Q: …" and a heading's number come before a question that stands for itself.
    return said.length - question.length <= 3 ? 'itself' : 'mentioned';
  };
}

/** Looks for the wanted items in a text. Most words are told apart by their first letters, before any stemming. */
function createFinder(wanted: QuestionItems, stem: (word: string) => string): (text: string) => FoundItems {
  if (wanted.stems.size === 0) return () => nothingFound;
  const beginnings = new Set([...wanted.stems].flatMap(beginningsOf));
  const search = createWordSearch(beginnings);
  return (text) => {
    const plain = plainText(text);
    const found = { stems: new Set<string>(), words: new Set<string>(), pairs: new Set<string>() };
    const counts = new Map<string, number>();
    let previous = { stemmed: '', end: 0 };
    for (const { 0: word, index } of search(plain)) {
      const stemmed = stem(word);
      if (!wanted.stems.has(stemmed)) continue;
      found.stems.add(stemmed);
      counts.set(stemmed, (counts.get(stemmed) ?? 0) + 1);
      if (wanted.words.has(word)) found.words.add(word);
      const pair = `${previous.stemmed} ${stemmed}`;
      if (wanted.pairs.has(pair) && isOnlyStopWords(plain.slice(previous.end, index))) found.pairs.add(pair);
      previous = { stemmed, end: index + word.length };
    }
    return { ...found, counts, length: text.length };
  };
}

const isOnlyStopWords = (between: string) => wordsOf(between).every(isStopWord);

/** Two letters that stemming leaves alone, but for a `y` that may have become `i` (dying, die). */
function beginningsOf(stemmed: string): string[] {
  const two = stemmed.slice(0, 2);
  return two[1] === 'i' ? [two, `${two[0]}y`] : [two];
}

/** Neighbours in order, as single strings. */
function pairsOf(stems: readonly string[]): string[] {
  return stems.slice(1).map((stemmed, index) => `${stems[index]} ${stemmed}`);
}

/** All that several texts have together. */
export function together(parts: readonly FoundItems[]): FoundItems {
  const all = { stems: new Set<string>(), words: new Set<string>(), pairs: new Set<string>() };
  const counts = new Map<string, number>();
  let length = 0;
  for (const part of parts) {
    for (const kind of KINDS) for (const item of part[kind]) all[kind].add(item);
    for (const [stemmed, count] of part.counts) counts.set(stemmed, (counts.get(stemmed) ?? 0) + count);
    length += part.length;
  }
  return { ...all, counts, length };
}

/** How telling each item of a question is. */
export type QuestionWeights = Readonly<Record<(typeof KINDS)[number], Weights>>;

export interface Weights {
  readonly of: ReadonlyMap<string, number>;
  readonly total: number;
}

/** Words of asking weigh this share of what they would: a source that says "according to" answers no better. */
const ASKING_SHARE = 0.3;

/**
 * Weighs the question's items by how few of the given texts have them: ln(1 + (N − n + ½) / (n + ½)), the inverse
 * document frequency of BM25 (Robertson & Zaragoza, 2009; with 1 + so that it stays positive) taken over the
 * candidate passages rather than the whole index. What all candidates share says nothing about which of them
 * answers, and what none of them has says that the answer may not be there.
 */
export function weighQuestion(question: Question, texts: readonly QuestionItems[]): QuestionWeights {
  const weigh = (kind: (typeof KINDS)[number]): Weights => {
    const of = new Map<string, number>();
    for (const item of question.items[kind]) {
      const having = texts.reduce((count, text) => count + (text[kind].has(item) ? 1 : 0), 0);
      const rarity = Math.log(1 + (texts.length - having + 0.5) / (having + 0.5));
      of.set(item, question.isAsking(item) ? rarity * ASKING_SHARE : rarity);
    }
    return { of, total: [...of.values()].reduce((sum, weight) => sum + weight, 0) };
  };
  return { stems: weigh('stems'), words: weigh('words'), pairs: weigh('pairs') };
}

/** Share of the weight of the question's items that are found, 0 to 1; 0 when there is nothing to look for. */
export function shareFound({ of, total }: Weights, found: ReadonlySet<string>): number {
  if (total === 0) return 0;
  let weight = 0;
  for (const item of found) weight += of.get(item) ?? 0;
  return weight / total;
}
