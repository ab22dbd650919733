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

/**
 * A claim rests on a source when this share of its content words stands in one sentence of it. Held against the most
 * similar of other passages, 10 % of 500 sentences of five public texts pass, many of them near repetitions.
 */
const supportedFrom = 0.65;
/** The same where the model did not say which source, or named one that does not exist: 3 % pass. */
const supportedUncitedFrom = 0.8;
/** Sentences in a row that one citation may span, and by how much more they must hold for each further one. */
const maxSentencesInSpan = 3;
const moreForFurtherSentence = 0.1;
/** Two cited sentences may bear a claim out together: each this share of it, and both together so much. */
const eachOfTwoFrom = 0.4;
const bothOfTwoFrom = 0.8;
/** Sentences that are tried in pairs. */
const maxPaired = 40;

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
  const from = strict ? supportedUncitedFrom : supportedFrom;
  const alone = named.flatMap((place) => bestSpan(claim, sources[place], place, from) ?? []);
  if (alone.length > 0) return alone.map(toSpan);
  const two = strict ? [] : bestTwo(claim, sources, named);
  if (two.length > 0) return two.map(toSpan);
  const others = sources.map((_, place) => place).filter((place) => !named.includes(place));
  const elsewhere = others.flatMap(
    (place) => bestSpan(claim, sources[place], place, supportedUncitedFrom) ?? [],
  );
  elsewhere.sort((a, b) => worth(claim, [b]) - worth(claim, [a]));
  return elsewhere.slice(0, 1).map(toSpan);
}

interface Candidate extends SupportingSpan {
  readonly sentences: readonly ReadSentence[];
  readonly context: ReadonlySet<string>;
  readonly all: ReadonlySet<string>;
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

/** The span of a source that bears the claim out best, the shorter of equals. */
function bestSpan(
  claim: Claim,
  source: ReadSource | undefined,
  place: number,
  from: number,
): Candidate | undefined {
  let best: Candidate | undefined;
  let highest = 0;
  for (const span of spansOf(source, place)) {
    const further = (span.sentences.length - 1) * moreForFurtherSentence;
    const score = worth(claim, [span]) - further;
    if (score > highest && bearsOut(claim, [span], from + further)) [best, highest] = [span, score];
  }
  return best;
}

/** Two sentences that say together what neither says alone. */
function bestTwo(claim: Claim, sources: readonly ReadSource[], places: readonly number[]): Candidate[] {
  const parts = places.flatMap((place) => {
    const sentences = [...spansOf(sources[place], place)].filter((span) => span.sentences.length === 1);
    return sentences.filter((span) => shareOf(claim, [span]) >= eachOfTwoFrom);
  });
  parts.sort((a, b) => shareOf(claim, [b]) - shareOf(claim, [a])).splice(maxPaired);
  let best: Candidate[] = [];
  let highest = 0;
  for (const [at, first] of parts.entries()) {
    for (const second of parts.slice(at + 1)) {
      const both = [first, second];
      const score = worth(claim, both);
      if (score > highest && bearsOut(claim, both, bothOfTwoFrom)) [best, highest] = [both, score];
    }
  }
  return best;
}

/** Numbers weigh as much as words here; a span is worth nothing by its title alone. */
function worth(claim: Claim, spans: readonly Candidate[]): number {
  const stems = stemsFound(claim, spans, false).length + 0.5 * stemsFound(claim, spans, true).length;
  const numbers = [...claim.numbers].filter((number) => hasNumber(spans, number)).length;
  return (stems + 1.5 * numbers) / (1.5 * (claim.stems.size + claim.numbers.size) || 1);
}

function bearsOut(claim: Claim, spans: readonly Candidate[], from: number): boolean {
  if (![...claim.numbers].every((number) => hasNumber(spans, number))) return false;
  if (![...claim.names].every((name) => spans.some(({ all }) => all.has(name)))) return false;
  const own = stemsFound(claim, spans, false);
  if (own.length + claim.numbers.size === 0 || shareOf(claim, spans) < from) return false;
  return !deniesOther(claim, spans, own);
}

/** Share of the claim's words and numbers that stand in the spans or, words only, over them. */
function shareOf(claim: Claim, spans: readonly Candidate[]): number {
  const numbers = [...claim.numbers].filter((number) => hasNumber(spans, number));
  const found = stemsFound(claim, spans, true).length + numbers.length;
  return found / (claim.stems.size + claim.numbers.size || 1);
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
