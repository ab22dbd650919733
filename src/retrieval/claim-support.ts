import { type Claim, numbersIn, readClaim } from './claim.ts';
import { sentencesOf } from './passages/sentences.ts';

/** A passage read once, so that many claims can be held against it. */
export interface ReadSource {
  readonly sentences: readonly ReadSentence[];
  /** Stems of the title and heading, which its sentences need not repeat. */
  readonly context: ReadonlySet<string>;
  /** All stems of the passage, where a name may stand outside of the sentences cited. */
  readonly all: ReadonlySet<string>;
}

interface ReadSentence extends Claim {
  readonly start: number;
  readonly end: number;
}

/** Characters of a source that bear out a claim; offsets are into that source's text. */
export interface SupportingSpan {
  /** Place of the source in the list given. */
  readonly source: number;
  readonly start: number;
  readonly end: number;
}

/** A claim rests on its sources when this share of its content words stands in them… */
const supportedFrom = 0.6;
/** …or this share, where the model did not say which source, or named one that does not exist. */
const supportedUncitedFrom = 0.8;
/** Sentences in a row that one citation may span. */
const maxSentencesInSpan = 3;
/** What each further sentence of a span costs: it must bring something. */
const perFurtherSentence = 0.05;
/** Spans that together bear out one claim, where none does alone. */
const maxSpansTogether = 3;

export function readSource(
  passage: { readonly title: string; readonly heading: string; readonly text: string },
  stem: (word: string) => string,
): ReadSource {
  const sentences = sentencesOf(passage.text).map(({ start, end }) => {
    const text = passage.text.slice(start, end);
    return { start, end, ...readClaim(text, stem), numbers: numbersIn(text, true) };
  });
  const context = readClaim(`${passage.title}\n${passage.heading}`, stem).stems;
  return { sentences, context, all: new Set([...context, ...sentences.flatMap(({ stems }) => [...stems])]) };
}

/**
 * The spans that bear out a claim, best first; empty when none do. A claim is borne out when most of its content
 * words, all of its numbers and names stand in the spans, and neither denies what the other says. This compares
 * words, so it can miss a free paraphrase (which is then flagged); it does not take a changed number, name or "not"
 * for support.
 *
 * @param cited places of the sources that the claim names; the others are tried after them, more strictly.
 * @param strict hold cited sources to the stricter measure too.
 */
export function supportOf(
  claim: Claim,
  sources: readonly ReadSource[],
  cited: readonly number[],
  strict: boolean,
): SupportingSpan[] {
  const named = cited.filter((place) => sources[place] !== undefined);
  const found = supportFrom(claim, sources, named, strict ? supportedUncitedFrom : supportedFrom);
  if (found.length > 0) return found;
  const others = sources.map((_, place) => place).filter((place) => !named.includes(place));
  const elsewhere = supportFrom(claim, sources, others, supportedUncitedFrom);
  return elsewhere.slice(0, 1);
}

interface Candidate extends SupportingSpan {
  readonly sentences: readonly ReadSentence[];
  readonly context: ReadonlySet<string>;
  readonly all: ReadonlySet<string>;
}

function supportFrom(
  claim: Claim,
  sources: readonly ReadSource[],
  places: readonly number[],
  from: number,
): SupportingSpan[] {
  const best = places.flatMap((place) => bestSpan(claim, sources[place], place) ?? []);
  const alone = best.filter((span) => bearsOut(claim, [span], from));
  if (alone.length > 0) return alone.map(toSpan);
  const together = combine(claim, places, sources);
  return together.length > 1 && bearsOut(claim, together, from) ? together.map(toSpan) : [];
}

const toSpan = ({ source, start, end }: SupportingSpan): SupportingSpan => ({ source, start, end });

/** Every run of one to three sentences of a source. */
function* spansOf(source: ReadSource | undefined, place: number): Generator<Candidate> {
  if (!source) return;
  const { sentences, context, all } = source;
  for (const [first, { start }] of sentences.entries()) {
    for (let count = 1; count <= maxSentencesInSpan && first + count <= sentences.length; count++) {
      const run = sentences.slice(first, first + count);
      yield { source: place, start, end: run.at(-1)?.end ?? start, sentences: run, context, all };
    }
  }
}

function bestSpan(claim: Claim, source: ReadSource | undefined, place: number): Candidate | undefined {
  let best: Candidate | undefined;
  let highest = 0;
  for (const span of spansOf(source, place)) {
    const score = worth(claim, [span]) * (1 - perFurtherSentence * (span.sentences.length - 1));
    if (score > highest) [best, highest] = [span, score];
  }
  return best;
}

/** Adds the span that brings most, as long as one brings something. */
function combine(claim: Claim, places: readonly number[], sources: readonly ReadSource[]): Candidate[] {
  const single = places.flatMap((place) =>
    [...spansOf(sources[place], place)].filter(({ sentences }) => sentences.length === 1),
  );
  const chosen: Candidate[] = [];
  let reached = 0;
  while (chosen.length < maxSpansTogether) {
    let best: Candidate | undefined;
    for (const span of single) {
      const score = worth(claim, [...chosen, span]);
      if (score > reached) [best, reached] = [span, score];
    }
    if (!best) break;
    chosen.push(best);
  }
  return chosen;
}

/** Numbers weigh as much as words here; a span is worth nothing by its title alone. */
function worth(claim: Claim, spans: readonly Candidate[]): number {
  const stems = stemsFound(claim, spans, false).length + 0.5 * stemsFound(claim, spans, true).length;
  const numbers = [...claim.numbers].filter((number) => hasNumber(spans, number)).length;
  return (stems + 1.5 * numbers) / (1.5 * (claim.stems.size + claim.numbers.size) || 1);
}

function bearsOut(claim: Claim, spans: readonly Candidate[], from: number): boolean {
  const size = claim.stems.size + claim.numbers.size;
  const numbers = [...claim.numbers].filter((number) => hasNumber(spans, number));
  if (size === 0 || numbers.length < claim.numbers.size) return false;
  if (![...claim.names].every((name) => spans.some(({ all }) => all.has(name)))) return false;
  const stems = stemsFound(claim, spans, true);
  const own = stemsFound(claim, spans, false);
  if (own.length + numbers.length === 0 || (stems.length + numbers.length) / size < from) return false;
  return !deniesOther(claim, spans, own);
}

function stemsFound(claim: Claim, spans: readonly Candidate[], withContext: boolean): string[] {
  return [...claim.stems].filter((stem) =>
    spans.some(
      ({ sentences, context }) =>
        (withContext && context.has(stem)) || sentences.some(({ stems }) => stems.has(stem)),
    ),
  );
}

function hasNumber(spans: readonly Candidate[], number: string): boolean {
  return spans.some(({ sentences }) => sentences.some(({ numbers }) => numbers.has(number)));
}

/** Whether only one of the two says "not" about what both speak of. */
function deniesOther(claim: Claim, spans: readonly Candidate[], shared: readonly string[]): boolean {
  const claimDenies = shared.some((stem) => claim.negated.has(stem));
  const sourceDenies = shared.some((stem) =>
    spans.some(({ sentences }) => sentences.some(({ negated }) => negated.has(stem))),
  );
  return claimDenies !== sourceDenies;
}
