import { type Estimate, estimateMean } from './bootstrap.ts';
import type { JudgedQuestion, JudgedSet } from './judged-set.ts';
import { hitRecall, isRelevant, ndcg, precision, reciprocalRank, spanRecall } from './metrics.ts';
import { charactersIn, charactersInBoth, type Span } from './spans.ts';

/** A stretch of one judged document that was found or cited. */
export interface Passage extends Span {
  readonly documentId: string;
}

/** What is being evaluated. */
export interface Answerer {
  /** The best passages for a question, best first, at most `limit`. */
  search(question: string, limit: number): Promise<readonly Passage[]>;
  /** What an answer to the question cites, and whether it says that the sources cover the question. */
  cite?(question: string): Promise<{ readonly citations: readonly Passage[]; readonly covered: boolean }>;
  /** The same judgement when one document is left out: of a question on that document it should be false. */
  coversWithout?(question: string, documentId: string): Promise<boolean>;
}

export interface EvaluateOptions {
  readonly set: JudgedSet;
  readonly answerer: Answerer;
  /** Every passage that could be found, for the ideal ranking of nDCG; else the relevant ones that were found. */
  readonly passages?: readonly Passage[];
  /** Seed of the bootstrap; default 1. */
  readonly seed?: number;
  /** Told after each question. */
  readonly onProgress?: (done: number, all: number) => void;
}

/** Numbers of passages at which recall is given. */
export const RECALL_AT = [1, 3, 5, 10] as const;
/** How deep nDCG and MRR look, and how many passages are asked for. */
const DEPTH = 10;

/** Means over questions, each with its interval. Shares from 0 to 1 unless said otherwise. */
export interface Scores {
  readonly questions: number;
  /** Share of the evidence's characters in the first k passages. */
  readonly recall: Readonly<Record<(typeof RECALL_AT)[number], Estimate>>;
  /** Share of the evidence spans of which at least half is in the first k passages. */
  readonly hitRecall: Readonly<Record<(typeof RECALL_AT)[number], Estimate>>;
  readonly ndcg10: Estimate;
  readonly mrr10: Estimate;
  /** Characters in the first five passages: recall means little without knowing how much was read. */
  readonly characters5: Estimate;
  /** Absent when nothing was asked to cite. Precision is over questions that were answered with citations. */
  readonly citations?: {
    readonly precision: Estimate;
    readonly characterPrecision: Estimate;
    readonly recall: Estimate;
    readonly characters: Estimate;
    /** Share of the questions that the sources were said to cover. */
    readonly covered: Estimate;
    /** Share of the questions said not to be covered when their document was left out. */
    readonly declined: Estimate;
  };
}

export interface EvaluationReport {
  readonly set: string;
  readonly documents: number;
  readonly passages: number | null;
  readonly overall: Scores;
  readonly byDocument: Readonly<Record<string, Scores>>;
}

/** One question's figures, before they are averaged. */
interface Outcome {
  readonly documentId: string;
  readonly recall: readonly number[];
  readonly hitRecall: readonly number[];
  readonly ndcg10: number;
  readonly mrr10: number;
  readonly characters5: number;
  readonly cited?: {
    readonly precision: number | undefined;
    readonly characterPrecision: number | undefined;
    readonly recall: number;
    readonly characters: number;
    readonly covered: number;
    readonly declined: number | undefined;
  };
}

/**
 * Asks every question of a judged set, one after the other, and scores what comes back against the marked
 * characters. Rejects when the answerer does.
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationReport> {
  const { set, passages, seed = 1 } = options;
  const outcomes: Outcome[] = [];
  for (const question of set.questions) {
    outcomes.push(await ask(question, options));
    options.onProgress?.(outcomes.length, set.questions.length);
  }
  const documentIds = [...new Set(set.questions.map(({ documentId }) => documentId))].sort();
  return {
    set: set.name,
    documents: set.documents.length,
    passages: passages?.length ?? null,
    overall: summarise(outcomes, seed),
    byDocument: Object.fromEntries(
      documentIds.map((id) => [
        id,
        summarise(
          outcomes.filter(({ documentId }) => documentId === id),
          seed,
        ),
      ]),
    ),
  };
}

async function ask(question: JudgedQuestion, { answerer, passages }: EvaluateOptions): Promise<Outcome> {
  const { documentId, evidence } = question;
  const inDocument = (found: readonly Passage[]) =>
    found.filter((passage) => passage.documentId === documentId);
  const isHit = (passage: Passage) => passage.documentId === documentId && isRelevant(evidence, passage);

  const hits = (await answerer.search(question.question, DEPTH)).slice(0, DEPTH);
  const relevance = hits.map(isHit);
  const relevantFound = relevance.filter(Boolean).length;
  const relevantInAll = Math.max(relevantFound, passages?.filter(isHit).length ?? relevantFound);
  const firstInDocument = (count: number) => inDocument(hits.slice(0, count));

  const cited = await answerer.cite?.(question.question);
  const coveredElsewhere = await answerer.coversWithout?.(question.question, documentId);
  return {
    documentId,
    recall: RECALL_AT.map((count) => spanRecall(evidence, firstInDocument(count))),
    hitRecall: RECALL_AT.map((count) => hitRecall(evidence, firstInDocument(count))),
    ndcg10: ndcg(relevance, relevantInAll, DEPTH),
    mrr10: reciprocalRank(relevance, DEPTH),
    characters5: charactersOf(hits.slice(0, 5)),
    ...(cited && {
      cited: {
        precision: precision(cited.citations.map(isHit)),
        characterPrecision: share(
          charactersInBoth(evidence, inDocument(cited.citations)),
          charactersOf(cited.citations),
        ),
        recall: spanRecall(evidence, inDocument(cited.citations)),
        characters: charactersOf(cited.citations),
        covered: cited.covered ? 1 : 0,
        declined: coveredElsewhere === undefined ? undefined : coveredElsewhere ? 0 : 1,
      },
    }),
  };
}

/** Characters of passages that may be in several documents. */
function charactersOf(passages: readonly Passage[]): number {
  const byDocument = Map.groupBy(passages, ({ documentId }) => documentId);
  return [...byDocument.values()].reduce((sum, spans) => sum + charactersIn(spans), 0);
}

const share = (part: number, whole: number) => (whole === 0 ? undefined : part / whole);

function summarise(outcomes: readonly Outcome[], seed: number): Scores {
  const mean = (value: (outcome: Outcome) => number | undefined) =>
    estimateMean(
      outcomes.map(value).filter((number) => number !== undefined),
      seed,
    );
  const at = (values: (outcome: Outcome) => readonly number[]) =>
    Object.fromEntries(
      RECALL_AT.map((count, index) => [count, mean((outcome) => values(outcome)[index])]),
    ) as Scores['recall'];
  const citing = outcomes.some(({ cited }) => cited !== undefined);
  return {
    questions: outcomes.length,
    recall: at(({ recall }) => recall),
    hitRecall: at((outcome) => outcome.hitRecall),
    ndcg10: mean(({ ndcg10 }) => ndcg10),
    mrr10: mean(({ mrr10 }) => mrr10),
    characters5: mean(({ characters5 }) => characters5),
    ...(citing && {
      citations: {
        precision: mean(({ cited }) => cited?.precision),
        characterPrecision: mean(({ cited }) => cited?.characterPrecision),
        recall: mean(({ cited }) => cited?.recall),
        characters: mean(({ cited }) => cited?.characters),
        covered: mean(({ cited }) => cited?.covered),
        declined: mean(({ cited }) => cited?.declined),
      },
    }),
  };
}
