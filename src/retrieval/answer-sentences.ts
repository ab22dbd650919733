/** One sentence of a model's answer, with the source numbers that its markers name. */
export interface AnswerSentence {
  /** Without markers and without surrounding white space; may be empty when there was nothing but markers. */
  readonly text: string;
  /** Numbers as written, each once, in order; not yet checked against the sources there are. */
  readonly markers: readonly number[];
  /** White space that stood between this sentence and the next; '' after the last. */
  readonly separator: string;
}

/** Reads an answer as it arrives. However the text is cut into pieces, the sentences are the same. */
export interface SentenceReader {
  /** @returns the sentences that are complete now; what may still go on is held back. */
  push(text: string): AnswerSentence[];
  /** @returns what is left, when no more will come. */
  end(): AnswerSentence[];
}

/** A sentence that runs on longer than this is cut at a word, so that hold-back stays bounded. Characters. */
const maxSentenceCharacters = 2_000;
/** A range such as [1-9] names each number in it, up to this many. */
const maxRange = 20;

/** `[1]`, `[1, 2]`, `[1-3]`, `[^1]`, `[source 1]`, `【1】`, `【1†name】`; not a link's text. */
const markerSource = String.raw`(?:\[(?:\^|sources?\s?)?\d{1,3}(?:\s?[,;–-]\s?\d{1,3}){0,20}\](?!\()|【\d{1,3}(?:†[^】\n]{0,40})?】)`;
const marker = new RegExp(markerSource, 'giu');
const markerHere = new RegExp(`[ \\t]*${markerSource}`, 'iuy');
const unfinishedMarker =
  /[ \t]*(?:\[(?:\^|s(?:o(?:u(?:r(?:c(?:e(?:s)?)?)?)?)?)?\s?)?[\d\s,;–-]{0,140}\]?|【[^】\n]{0,50}】?)$/iuy;

const closers = '"\'”’»)*_`』」）';
const terminators = '.!?…';
const wideTerminators = '。！？｡';
/** A new line that begins so begins a new sentence; any other may be the same sentence going on. */
const blockStart = /(?:[-*+•|>]|#{1,6}\s|\d{1,3}[.)]\s)/y;
/** What must be seen behind a line break to tell whether a block starts there. */
const blockStartLength = 8;
const abbreviations = new Set(
  'mr mrs ms dr prof st vs etc e.g i.e cf al fig no nos vol pp ed inc ltd co corp approx est u.s u.k a.m p.m jan feb mar apr jun jul aug sep sept oct nov dec ca bzw z.b nr art sec'.split(
    ' ',
  ),
);

export function createSentenceReader(): SentenceReader {
  let held = '';
  const take = (final: boolean): AnswerSentence[] => {
    const sentences: AnswerSentence[] = [];
    for (;;) {
      const found = firstSentence(held, final);
      if (found === null) return sentences;
      sentences.push(toSentence(held.slice(0, found.end), held.slice(found.end, found.next)));
      held = held.slice(found.next);
    }
  };
  return {
    push(text) {
      held += text;
      return take(false);
    },
    end: () => take(true),
  };
}

interface Boundary {
  /** Behind the sentence with its markers. */
  readonly end: number;
  /** Where the next sentence begins. */
  readonly next: number;
}

/** `null`: no whole sentence is there yet (or nothing at all). */
function firstSentence(text: string, final: boolean): Boundary | null {
  const start = skipSpace(text, 0);
  for (let at = start; at < text.length; at++) {
    if (at - start >= maxSentenceCharacters) return cutLong(text, start, at);
    const verdict = boundaryAt(text, start, at, final);
    if (verdict === 'more') return null;
    if (verdict === 'inside-code') at = text.indexOf('`', at + 1);
    else if (verdict !== 'none') return verdict;
  }
  return final && start < text.length ? { end: text.trimEnd().length, next: text.length } : null;
}

type Verdict = Boundary | 'none' | 'more' | 'inside-code';

/** Whether a sentence ends with the character at `at`; 'more' when what follows must be seen first. */
function boundaryAt(text: string, start: number, at: number, final: boolean): Verdict {
  const character = text.charAt(at);
  if (character === '`') return codeSpanAt(text, start, at, final);
  if (character === '\n') return lineBreakAt(text, start, at, final);
  const wide = wideTerminators.includes(character);
  if (!wide && !terminators.includes(character)) return 'none';

  let end = at + 1;
  while (end < text.length && (closers + terminators + wideTerminators).includes(text.charAt(end))) end++;
  end = skipMarkers(text, end);
  if (!final && cannotTellMarker(text, end)) return 'more';
  const next = skipSpace(text, end);
  // Two units, because the next letter may be a surrogate pair of which only half is here.
  if (!final && next + 2 > text.length) return 'more';
  if (next === end && !wide && next < text.length) return 'none';
  if (character === '.' && isAbbreviation(text, start, at, next)) return 'none';
  return { end, next };
}

/** A full stop inside code ends nothing. Code that is not closed within the longest sentence is no code. */
function codeSpanAt(text: string, start: number, at: number, final: boolean): Verdict {
  const limit = start + maxSentenceCharacters;
  const close = text.indexOf('`', at + 1);
  if (close !== -1 && close < limit) return 'inside-code';
  return final || close !== -1 || text.length > limit ? 'none' : 'more';
}

function lineBreakAt(text: string, start: number, at: number, final: boolean): Verdict {
  const next = skipSpace(text, at);
  if (!final && next + blockStartLength > text.length) return 'more';
  if (next >= text.length) return { end: at, next };
  const blank = text.slice(at, next).split('\n').length > 2;
  blockStart.lastIndex = next;
  const afterHeading = text.charAt(start) === '#' || text.charAt(start) === '|';
  return blank || afterHeading || blockStart.test(text) ? { end: at, next } : 'none';
}

function cutLong(text: string, start: number, at: number): Boundary {
  const space = text.lastIndexOf(' ', at);
  if (space > start) return { end: space, next: space + 1 };
  const inPair = /[\ud800-\udbff]/.test(text.charAt(at - 1));
  return { end: inPair ? at - 1 : at, next: inPair ? at - 1 : at };
}

function skipMarkers(text: string, from: number): number {
  let end = from;
  for (;;) {
    markerHere.lastIndex = end;
    const found = markerHere.exec(text);
    if (!found) return end;
    end = markerHere.lastIndex;
  }
}

/** Whether the text ends in what may yet become a marker of this sentence. */
function cannotTellMarker(text: string, from: number): boolean {
  unfinishedMarker.lastIndex = from;
  return from < text.length && unfinishedMarker.test(text);
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && /\s/.test(text.charAt(at))) at++;
  return at;
}

/** "Dr. Smith", "e.g. this", an initial, "3. item", and "approx. ten" (a short word, then a lower-case letter). */
function isAbbreviation(text: string, start: number, stop: number, next: number): boolean {
  const word = /[^\s(]{0,12}$/.exec(text.slice(Math.max(start, stop - 12), stop))?.[0].toLowerCase() ?? '';
  if (abbreviations.has(word) || /^[a-z]$/.test(word)) return true;
  if (/^\d{1,3}$/.test(word) && stop - word.length === start) return true;
  return word.length <= 3 && /^\p{Ll}/u.test(text.slice(next, next + 2));
}

function toSentence(raw: string, separator: string): AnswerSentence {
  const markers = new Set<number>();
  const outsideCode = raw.split(/(`[^`]*`)/);
  const text = outsideCode
    .map((part, index) => {
      if (index % 2 === 1) return part;
      for (const found of part.match(marker) ?? []) for (const n of numbersIn(found)) markers.add(n);
      return part.replace(new RegExp(`[ \\t]*${markerSource}`, 'giu'), '');
    })
    .join('');
  return { text: text.trim(), markers: [...markers], separator };
}

function numbersIn(found: string): number[] {
  return [...found.replace(/†.*/u, '').matchAll(/(\d{1,3})(?:\s?[–-]\s?(\d{1,3}))?/gu)].flatMap(
    ([, from, to]) => {
      const first = Number(from);
      const last = to === undefined ? first : Number(to);
      const count = Math.min(Math.max(last - first + 1, 1), maxRange);
      return Array.from({ length: count }, (_, index) => first + index);
    },
  );
}
