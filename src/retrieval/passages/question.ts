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

/** UTF-16 offsets; `end` is exclusive. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
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
  /**
   * What each of several stretches of a text has by itself, in their order. `spans` do not overlap and are in the order
   * of the text.
   */
  findEach(text: string, spans: readonly TextSpan[]): FoundItems[];
  /** Whether an item belongs to the asking rather than to what is asked. */
  isAsking(item: string): boolean;
  /** Whether a sentence puts this very question: as itself, as a FAQ does, or among other words, as an example does. */
  askedIn(sentence: string): 'itself' | 'mentioned' | null;
}

/** Items of a question beyond this many say nothing new; pasted essays must not cost more. */
const MAX_ITEMS = 64;

/** A question as it was put, or taken apart already: then what was read for it is not read again. */
export type Asked = string | Question;

export const takenApart = (asked: Asked): Question =>
  typeof asked === 'string' ? parseQuestion(asked) : asked;

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
    ...createFinder(items, stem),
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
function createFinder(
  wanted: QuestionItems,
  stem: (word: string) => string,
): Pick<Question, 'find' | 'findEach'> {
  if (wanted.stems.size === 0)
    return { find: () => nothingFound, findEach: (_text, spans) => spans.map(() => nothingFound) };
  const beginnings = new Set([...wanted.stems].flatMap(beginningsOf));
  const search = createWordSearch(beginnings);
  const find = (text: string): FoundItems => {
    const plain = plainText(text);
    const finding = new Finding(wanted, plain, text.length);
    for (const { 0: word, index } of search(plain)) {
      const stemmed = stem(word);
      if (wanted.stems.has(stemmed)) finding.add(word, stemmed, index);
    }
    return finding;
  };
  return {
    find,
    findEach(text, spans) {
      const plain = plainText(text);
      // Writing letters plainly may have moved them; then each stretch is looked through for itself.
      if (plain !== text.toLowerCase() || plain.length !== text.length) {
        return spans.map(({ start, end }) => find(text.slice(start, end)));
      }
      const found = spans.map(({ start, end }) => new Finding(wanted, plain, end - start));
      let at = 0;
      for (const { 0: word, index } of search(plain)) {
        while (at < spans.length && (spans[at]?.end ?? 0) <= index) at++;
        const span = spans[at];
        if (!span) break;
        if (index < span.start || index + word.length > span.end) continue;
        const stemmed = stem(word);
        if (wanted.stems.has(stemmed)) found[at]?.add(word, stemmed, index);
      }
      return found;
    },
  };
}

/** What was found so far in one text, word by word in their order. */
class Finding implements FoundItems {
  readonly stems = new Set<string>();
  readonly words = new Set<string>();
  readonly pairs = new Set<string>();
  readonly counts = new Map<string, number>();
  readonly length: number;
  readonly #wanted: QuestionItems;
  readonly #plain: string;
  #previous: string | null = null;
  #previousEnd = 0;

  constructor(wanted: QuestionItems, plain: string, length: number) {
    this.#wanted = wanted;
    this.#plain = plain;
    this.length = length;
  }

  add(word: string, stemmed: string, index: number): void {
    this.stems.add(stemmed);
    this.counts.set(stemmed, (this.counts.get(stemmed) ?? 0) + 1);
    if (this.#wanted.words.has(word)) this.words.add(word);
    if (this.#previous !== null) {
      const pair = `${this.#previous} ${stemmed}`;
      if (this.#wanted.pairs.has(pair) && isOnlyStopWords(this.#plain.slice(this.#previousEnd, index)))
        this.pairs.add(pair);
    }
    this.#previous = stemmed;
    this.#previousEnd = index + word.length;
  }
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
