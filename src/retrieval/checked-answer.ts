import type { DatabaseScope } from '../platform/database/database.ts';
import { notInSources } from './answer-prompt.ts';
import { type AnswerSentence, createSentenceReader } from './answer-sentences.ts';
import { readClaim } from './claim.ts';
import { type ReadSource, readSource, supportOf } from './claim-support.ts';
import { createStemmer } from './passages/terms.ts';

/** A passage that was shown to a model, or is to be quoted. */
export interface SourceText {
  readonly documentId: string;
  readonly title: string;
  readonly heading: string;
  readonly text: string;
  /** Where `text` begins and ends in the stored text, in UTF-16 code units. */
  readonly start: number;
  readonly end: number;
}

/** Characters of a document that bear out what an answer says; `text` is the stored text from `start` to `end`. */
export interface Citation {
  readonly documentId: string;
  readonly title: string;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export interface CheckedSentence {
  readonly text: string;
  readonly supported: boolean;
  /** Places in the answer's list of citations. */
  readonly citations: readonly number[];
}

export interface CheckedAnswer {
  /** The sentences with the numbers of their citations, [1] being the first. */
  readonly text: string;
  readonly sentences: readonly CheckedSentence[];
  readonly citations: readonly Citation[];
  /** The model said that the sources do not answer. */
  readonly declined: boolean;
  /** Sentences were left out because what they rest on was changed, removed or withdrawn meanwhile. */
  readonly withheld: boolean;
  /** Markers named sources that do not exist. */
  readonly unknownMarkers: boolean;
}

/** What can be told of an answer while it is made: first the citation, then the text that it is for. */
export type AnswerPart =
  | { readonly kind: 'citation'; readonly place: number; readonly citation: Citation }
  /** `supported` is absent where nothing is claimed. */
  | { readonly kind: 'text'; readonly text: string; readonly supported?: boolean };

/** The stored text of spans that the caller may read now; others are left out. */
export type StoredSlices = (
  scope: DatabaseScope,
  spans: readonly { readonly documentId: string; readonly start: number; readonly end: number }[],
) => Promise<
  readonly {
    readonly documentId: string;
    readonly start: number;
    readonly end: number;
    readonly text: string;
  }[]
>;

interface Kept extends CheckedSentence {
  readonly separator: string;
  /** Whether it says something that can be borne out. */
  readonly isClaim: boolean;
}

/** So much of the answer as a sentence: it is no claim about anything. */
const declining = plain(notInSources);

/**
 * Takes a model's answer as it comes and lets a sentence pass only after it was checked: against the passages that the
 * model was shown, and these against the database, under the caller's rights, at that moment. What no passage bears out
 * passes with a flag; what rests on a passage that is gone does not pass.
 */
export function createAnswerChecker(
  scope: DatabaseScope,
  sources: readonly SourceText[],
  storedSlices: StoredSlices,
  onPart: (part: AnswerPart) => void | Promise<void> = () => {},
) {
  const stem = createStemmer();
  const reader = createSentenceReader();
  const read: ReadSource[] = sources.map((source) => readSource(source, stem));
  const gone = new Set<number>();
  const citations: Citation[] = [];
  const kept: Kept[] = [];
  let declined = false;
  let withheld = false;
  let unknownMarkers = false;

  const usable = (): ReadSource[] => read.map((source, place) => (gone.has(place) ? nothing : source));

  /** Looks whether the whole text of every source is still what the model was shown. */
  async function lookAgain(): Promise<void> {
    const left = sources
      .map((source, place) => ({ ...source, place }))
      .filter(({ place }) => !gone.has(place));
    const stored = await storedSlices(scope, left.map(spanOf));
    const present = new Set(stored.map(keyOf));
    for (const source of left) if (!present.has(keyOf(source))) gone.add(source.place);
  }

  async function take(sentences: readonly AnswerSentence[]): Promise<void> {
    for (const sentence of sentences) {
      if (plain(sentence.text) === declining) declined = true;
      else if (sentence.text !== '') await check(sentence);
    }
  }

  async function check({ text, markers, separator }: AnswerSentence): Promise<void> {
    await lookAgain();
    const claim = readClaim(text, stem);
    const isClaim = claim.stems.size + claim.numbers.size > 0;
    const unknown = markers.some((marker) => marker < 1 || marker > sources.length);
    unknownMarkers ||= unknown;
    const cited = markers.map((marker) => marker - 1);
    const spans = isClaim ? supportOf(claim, usable(), cited, unknown) : [];
    if (isClaim && spans.length === 0 && gone.size > 0) {
      // Perhaps it rests on what is gone. Nobody can tell now, so nobody gets it.
      withheld = true;
      return;
    }
    const places: number[] = [];
    for (const span of spans) places.push(await cite(span));
    const own = [...new Set(places)];
    const before = kept.at(-1)?.separator ?? '';
    const supported = own.length > 0;
    kept.push({ text, separator, isClaim, supported: supported || !isClaim, citations: own });
    await onPart({ kind: 'text', text: before + withNumbers(text, own), ...(isClaim && { supported }) });
  }

  /** The place of the citation in the answer's list, where it is added when it is new. */
  async function cite(span: { source: number; start: number; end: number }): Promise<number> {
    const { documentId, title, text, start } = sources[span.source] as SourceText;
    const citation: Citation = {
      documentId,
      title,
      start: start + span.start,
      end: start + span.end,
      text: text.slice(span.start, span.end),
    };
    const known = citations.findIndex((other) => keyOf(other) === keyOf(citation));
    if (known !== -1) return known;
    citations.push(citation);
    await onPart({ kind: 'citation', place: citations.length - 1, citation });
    return citations.length - 1;
  }

  return {
    /** The next piece of the model's text, however it is cut. */
    write: (piece: string): Promise<void> => take(reader.push(piece)),

    /** The answer as it may be sent now: every citation was compared with the stored text once more. */
    async end(): Promise<CheckedAnswer> {
      await take(reader.end());
      await lookAgain();
      const stored = new Set((await storedSlices(scope, citations.map(spanOf))).map(keyOf));
      const stands = citations.map((citation) => stored.has(keyOf(citation)));
      const standing = kept.filter(
        ({ isClaim, supported, citations: own }) =>
          !isClaim || (supported ? own.every((place) => stands[place]) : gone.size === 0),
      );
      const final = renumber(standing, citations, stands);
      const left = withheld || standing.length < kept.length;
      return { ...final, declined, withheld: left, unknownMarkers };
    },
  };
}

const nothing: ReadSource = { sentences: [], context: new Set(), all: new Set() };

/** Leaves out citations that do not stand, and numbers the others in the order of their first use. */
function renumber(sentences: readonly Kept[], citations: readonly Citation[], stands: readonly boolean[]) {
  const places = new Map<number, number>();
  const used: Citation[] = [];
  const renumbered = sentences.map((sentence) => {
    const own = sentence.citations.flatMap((place) => {
      const citation = citations[place];
      if (!citation || !stands[place]) return [];
      if (!places.has(place)) places.set(place, used.push(citation) - 1);
      return places.get(place) ?? [];
    });
    return { ...sentence, citations: own };
  });
  const text = renumbered.map((one) => withNumbers(one.text, one.citations) + one.separator).join('');
  return {
    text: text.trimEnd(),
    citations: used,
    sentences: renumbered.map(({ text, supported, citations }) => ({ text, supported, citations })),
  };
}

export function withNumbers(text: string, citations: readonly number[]): string {
  const numbers = citations.map((place) => `[${place + 1}]`).join('');
  return numbers === '' ? text : `${text} ${numbers}`;
}

function spanOf({ documentId, start, end }: { documentId: string; start: number; end: number }) {
  return { documentId, start, end };
}

function keyOf(span: { documentId: string; start: number; end: number; text: string }): string {
  return `${span.documentId}:${span.start}:${span.end}:${span.text}`;
}

/** A sentence without case, quotation marks and white space at its ends. */
function plain(text: string): string {
  return text
    .toLowerCase()
    .replace(/^[\s"'“”*_]+|[\s"'“”*_.!]+$/gu, '')
    .replace(/\s+/gu, ' ');
}
