import { createHash } from 'node:crypto';
import type { IndexRow, SearchIndex } from '../index/search-index.ts';
import { quotePassages } from '../passages/best-sentences.ts';
import { COVERED_FROM, coverage } from '../passages/coverage.ts';
import { CANDIDATES_RANKED } from '../passages/rank-passages.ts';
import { rankFound } from '../rank-found.ts';
import { type Answerer, type EvaluationReport, evaluate, type Passage } from './evaluate.ts';
import { type JudgedSet, loadJudgedSet } from './judged-set.ts';

/** One passage as the product cuts it. */
export interface CutPassage {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly heading: string;
}

export interface EvaluateFolderOptions {
  /** A judged set: see `loadJudgedSet`. */
  readonly folder: string;
  /** Cuts a document into passages the way the product does. */
  readonly chunk: (text: string) => readonly CutPassage[];
  /** An index to build the passages into: of a directory of its own, so that no tenant's is touched. */
  readonly index: SearchIndex;
  /** Seed of the bootstrap; default 1. */
  readonly seed?: number;
  readonly onProgress?: (done: number, all: number) => void;
}

const TENANT = 'evaluation';
const GENERATION = { number: 1, dimensions: null } as const;
/** Documents a search can be narrowed to. */
const MAX_NARROWED = 1_000;

/**
 * Cuts, indexes, searches and quotes a judged set with the product's own parts and scores the outcome: what a user
 * would get without an embedding model and without a language model. Leaves the index as it found it.
 * Throws AppError `invalid` when the folder is not a judged set.
 */
export async function evaluateFolder(options: EvaluateFolderOptions): Promise<EvaluationReport> {
  const set = await loadJudgedSet(options.folder);
  const { passages, answerer } = await indexJudgedSet(set, options);
  try {
    return await evaluate({
      set,
      passages,
      answerer,
      ...(options.seed !== undefined && { seed: options.seed }),
      ...(options.onProgress && { onProgress: options.onProgress }),
    });
  } finally {
    await options.index.drop(TENANT);
  }
}

interface IndexedPassage extends Passage, CutPassage {
  readonly chunkId: string;
  readonly title: string;
}

/** Builds the index of a judged set and gives the means to ask it. */
async function indexJudgedSet(set: JudgedSet, { chunk, index }: EvaluateFolderOptions) {
  const byChunkId = new Map<string, IndexedPassage>();
  await index.drop(TENANT);
  for (const { id: documentId, title, text } of set.documents) {
    const rows: IndexRow[] = chunk(text).map((passage) => {
      const chunkId = `${byChunkId.size}`;
      byChunkId.set(chunkId, { ...passage, chunkId, documentId, title });
      return { chunkId, documentId: safeId(documentId), title, heading: passage.heading, text: passage.text };
    });
    await index.apply(TENANT, GENERATION, {
      upsertDocuments: [{ documentId: safeId(documentId), rows }],
      deleteDocuments: [],
    });
  }
  await index.optimise(TENANT, GENERATION, { force: true });

  async function ranked(question: string, documentIds?: readonly string[]) {
    const narrowed = documentIds && { documentIds: documentIds.map(safeId) };
    const found = await index.lexical(TENANT, GENERATION, question, {
      limit: CANDIDATES_RANKED,
      ...narrowed,
    });
    const candidates = found.flatMap(({ chunkId }) => {
      const passage = byChunkId.get(chunkId);
      return passage ? [passage] : [];
    });
    return rankFound('lexical', question, { lexical: candidates, vector: [] });
  }
  const covers = (question: string, passages: readonly IndexedPassage[]) =>
    coverage(
      question,
      passages.map(({ text }) => text),
    ) >= COVERED_FROM;

  async function coversWithout(question: string, documentId: string): Promise<boolean> {
    const others = set.documents.filter(({ id }) => id !== documentId).map(({ id }) => id);
    return covers(question, await ranked(question, others));
  }

  const answerer: Answerer = {
    search: async (question, limit) => (await ranked(question)).slice(0, limit),
    cite: async (question) => {
      const passages = await ranked(question);
      const citations = quotePassages(question, passages).flatMap(({ passage, start, end }) => {
        const source = passages[passage];
        if (!source) return [];
        return [{ documentId: source.documentId, start: source.start + start, end: source.start + end }];
      });
      return { citations, covered: covers(question, passages) };
    },
    // With one document nothing would be left; a filter holds no more than this many.
    ...(set.documents.length > 1 && set.documents.length <= MAX_NARROWED && { coversWithout }),
  };
  return { passages: [...byChunkId.values()], answerer };
}

/** Ids in the index are plain; names of files may not be. */
const safeId = (name: string) => createHash('sha256').update(name).digest('hex');
