import type { CacheWish } from '../cache/index.ts';
import type { AnswerPart, CheckedSentence, Citation } from './checked-answer.ts';
import type { SearchFilters } from './find-passages.ts';
import type { Caller } from './model-calls.ts';

export interface Question {
  readonly query: string;
  /** Absent: the one that the routes name. */
  readonly model?: string | undefined;
  /** How many passages an answer may be made of, 1 to 20. */
  readonly limit: number;
  readonly filters: SearchFilters;
  /** Whether an answer that was given before will do; absent: it will. */
  readonly cache?: CacheWish | undefined;
}

export interface Answer {
  readonly text: string;
  readonly sentences: readonly CheckedSentence[];
  readonly citations: readonly Citation[];
  readonly generatedBy: {
    readonly tier: string;
    readonly provider: string | null;
    readonly model: string | null;
  };
  readonly covered: boolean;
  /** 0 to 1, see `confidenceOf`. */
  readonly confidence: number;
  readonly usage: {
    readonly inputTokens: number;
    readonly outputTokens: number;
    readonly embeddingTokens: number;
  };
  /** Null when a model that was used has no price. */
  readonly costNanoUsd: bigint | null;
  readonly warnings: readonly string[];
  /** Absent: it has nothing to do with the cache. */
  readonly cache?: CacheNote | undefined;
}

export type AnswerEvent =
  | AnswerPart
  /** What was told so far does not stand; the answer begins anew. */
  | { readonly kind: 'restart'; readonly reason: string };

/** Told of an answer while it is made. */
export type Tell = (event: AnswerEvent) => void | Promise<void>;

export type AnswerQuestion = (caller: Caller, question: Question, tell?: Tell) => Promise<Answer>;

/** What a question's answer has to do with the cache, for the caller to know. */
export interface CacheNote {
  readonly state: 'hit' | 'miss' | 'stale';
  /** Names the entry, for its redaction. */
  readonly key: string;
  /** Whole seconds since the answer was made; 0 for a new one. */
  readonly ageSeconds: number;
}
