import { termsOf } from './words.ts';

/** A numbered passage as it stood in the message, its text untouched. */
export interface SourcePassage {
  readonly id: string;
  readonly title: string;
  readonly text: string;
}

export interface SourcedQuestion {
  readonly passages: readonly SourcePassage[];
  readonly question: string;
}

/** What an honest model says when the passages hold no answer. */
export const notInSources = 'The sources do not answer this question.';

const maxPassages = 200;
const maxSentences = 20_000;
const sourcePattern = /<source\b([^>]*)>([\s\S]*?)<\/source>/giu;

/**
 * Reads `<source id="1" title="…">text</source>` passages and the question that follows `Question:`
 * after them.
 * Undefined when the message holds no passage. At most 200 passages are read.
 */
export function readSourcedQuestion(message: string): SourcedQuestion | undefined {
  if (!message.includes('</source>')) return undefined;
  const passages: SourcePassage[] = [];
  let end = 0;
  for (const match of message.matchAll(sourcePattern)) {
    if (passages.length === maxPassages) break;
    const attributes = match[1] ?? '';
    const id = attribute(attributes, 'id') ?? String(passages.length + 1);
    passages.push({ id, title: attribute(attributes, 'title') ?? '', text: match[2] ?? '' });
    end = match.index + match[0].length;
  }
  if (passages.length === 0) return undefined;
  const rest = message.slice(end);
  const [marker] = /(?:^|\n)\s*Question:/iu.exec(rest) ?? [''];
  return { passages, question: rest.slice(rest.indexOf(marker) + marker.length).trim() };
}

/**
 * An extractive answer: one to three sentences taken word for word from the passages, each followed by the number of
 * its passage, as in `Refunds take 5 days. [2]`. A sentence is worth the question terms that it holds (a term that
 * few sentences hold is worth more); the title of a passage speaks for its sentences at half worth. When the best
 * sentence with its title covers less than a third of the question's terms, the sources do not answer.
 */
export function answerFromPassages({ passages, question }: SourcedQuestion): string {
  const questionTerms = [...new Set(termsOf(question))];
  const sentences = passages.flatMap(sentencesOfPassage).slice(0, maxSentences);
  const worth = termWorth(questionTerms, sentences);
  const scored = sentences
    .map((sentence) => scoreSentence(sentence, questionTerms, worth))
    .filter(({ held }) => held > 0);
  const best = scored.reduce<ScoredSentence | undefined>(
    (leader, next) => (leader === undefined || next.score > leader.score ? next : leader),
    undefined,
  );
  const needed = Math.max(1, Math.floor(questionTerms.length / 3));
  if (best === undefined || best.covered < needed) return notInSources;
  return scored
    .filter(({ score }) => score >= best.score * 0.75)
    .sort((left, right) => right.score - left.score || left.order - right.order)
    .slice(0, 3)
    .map(({ text, passageId }) => `${text} [${passageId}]`)
    .join(' ');
}

/**
 * Cuts a text into sentences without changing a character of them: at `.`, `!`, `?` before white space (closing
 * quotes and brackets stay with their sentence), at blank lines, and before list items and headings.
 */
export function sentencesOf(text: string): string[] {
  return text
    .split(/(?<=[.!?]["'”’)\]]*)\s+|\n\s*\n|\n(?=\s*(?:[-*+#>|]|\d+[.)])\s)|(?<=[。！？])/u)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '' && !/^#+\s/u.test(sentence));
}

interface PassageSentence {
  readonly passageId: string;
  readonly text: string;
  readonly order: number;
  readonly terms: ReadonlySet<string>;
  readonly titleTerms: ReadonlySet<string>;
}

interface ScoredSentence extends PassageSentence {
  /** Question terms in the sentence itself. */
  readonly held: number;
  /** Question terms in the sentence or its passage's title. */
  readonly covered: number;
  readonly score: number;
}

function sentencesOfPassage(passage: SourcePassage, passageIndex: number): PassageSentence[] {
  const titleTerms = new Set(termsOf(passage.title));
  return sentencesOf(passage.text).map((text, index) => ({
    passageId: passage.id,
    text,
    order: passageIndex * maxSentences + index,
    terms: new Set(termsOf(text)),
    titleTerms,
  }));
}

/** ln(1 + sentences / sentences that hold the term): the usual inverse document frequency. */
function termWorth(terms: readonly string[], sentences: readonly PassageSentence[]): Map<string, number> {
  return new Map(
    terms.map((term) => {
      const holding = sentences.filter((sentence) => sentence.terms.has(term)).length;
      return [term, Math.log(1 + sentences.length / Math.max(1, holding))];
    }),
  );
}

function scoreSentence(
  sentence: PassageSentence,
  questionTerms: readonly string[],
  worth: ReadonlyMap<string, number>,
): ScoredSentence {
  let held = 0;
  let covered = 0;
  let score = 0;
  for (const term of questionTerms) {
    const inSentence = sentence.terms.has(term);
    if (!inSentence && !sentence.titleTerms.has(term)) continue;
    covered += 1;
    if (inSentence) held += 1;
    score += (worth.get(term) ?? 0) * (inSentence ? 1 : 0.5);
  }
  return { ...sentence, held, covered, score };
}

function attribute(attributes: string, name: string): string | undefined {
  return new RegExp(`\\b${name}\\s*=\\s*"([^"]*)"`, 'iu').exec(attributes)?.[1];
}
