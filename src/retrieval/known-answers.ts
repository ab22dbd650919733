import type { Principal } from '../access/index.ts';
import { type AnswerStore, type CacheWish, type Entry, keyOf, type Turn } from '../cache/index.ts';
import type { DatabaseScope } from '../platform/database/database.ts';
import type { Answer, AnswerEvent, CacheNote, Question } from './answer.ts';
import type { Caller } from './model-calls.ts';

/** An answer as it was given before, with what was told of it while it was made. */
export interface KnownAnswer {
  readonly answer: Answer;
  readonly told: readonly AnswerEvent[];
}

/** One question's dealings with the answers that are known. Ends with `keep`, `pass` or `release`. */
export interface AnswerTurn {
  readonly known: KnownAnswer | null;
  readonly note: CacheNote;
  /** @param documentIds whose text the model was shown: deleting one of them removes the answer. */
  keep(made: KnownAnswer, documentIds: readonly string[]): void;
  /** When the model failed: the same answer past its time, made from the very same documents. */
  stale(): KnownAnswer | null;
  /** There is an answer and it is not kept: whoever waits for it goes on for itself. */
  pass(): void;
  /** There is no answer: one of those who wait makes it. A second ending is ignored. */
  release(): void;
}

/** Null: this answer is neither looked up nor kept. */
export type OpenKnownAnswer = (
  caller: Caller,
  question: Question,
  model: string,
  wish: CacheWish,
) => Promise<AnswerTurn | null>;

export interface KnownAnswersDependencies {
  readonly store: Pick<AnswerStore, 'open'>;
  /**
   * See the knowledge version's own words: it has moved on when a change is acknowledged. Null: nothing is kept for this
   * caller.
   */
  readonly knowledgeVersion: (scope: DatabaseScope) => Promise<string | null>;
  /** Changes with whatever decides how a model name is answered; null when nothing goes by that name. */
  readonly modelVersion: (principal: Principal, model: string) => string | null;
  readonly nowMs: () => number;
}

/**
 * Answers of models to questions about documents, kept for callers who may read the same. The state of the tenant's
 * documents is part of an answer's name, so what was made before a change is not found after it, on any instance and
 * whatever becomes of Redis.
 */
export function createKnownAnswers(deps: KnownAnswersDependencies): OpenKnownAnswer {
  return async (caller, question, model, wish) => {
    if (wish === 'off') return null;
    const { principal, signal } = caller;
    const modelVersion = deps.modelVersion(principal, model);
    if (modelVersion === null) return null;
    const version = await deps.knowledgeVersion(principal);
    if (version === null) return null;
    const { query, limit, filters } = question;
    const key = keyOf([
      'knowledge answer 1',
      principal.tenantId,
      JSON.stringify([...principal.readerTokens].sort()),
      version,
      model,
      modelVersion,
      JSON.stringify([query, limit, filters.documentIds ?? null, filters.metadata ?? null]),
    ]);
    const turn = await deps.store.open(
      { tenantId: principal.tenantId, kind: 'knowledge', key },
      { read: wish === 'use', onCancel: (listener) => listenTo(signal, listener) },
    );
    return answerTurn(turn, key, deps.nowMs);
  };
}

function answerTurn(turn: Turn, key: string, nowMs: () => number): AnswerTurn {
  const from = (entry: Entry, state: 'hit' | 'stale'): KnownAnswer => {
    const ageSeconds = Math.max(0, Math.floor((nowMs() - entry.storedAtMs) / 1_000));
    return knownIn(entry.body, { state, key, ageSeconds });
  };
  return {
    known: turn.known && from(turn.known, 'hit'),
    note: { state: 'miss', key, ageSeconds: 0 },
    keep({ answer, told }, documentIds) {
      const body = Buffer.from(JSON.stringify({ answer: { ...answer, costNanoUsd: null }, told }));
      const tags = [...new Set(documentIds)].map(documentTag);
      void turn.keep({ body, tags, costNanoUsd: answer.costNanoUsd });
    },
    stale() {
      const entry = turn.stale();
      return entry && from(entry, 'stale');
    },
    pass: () => turn.releaseAll(),
    release: () => turn.release(),
  };
}

/** Nothing was used for an answer that is given again, and it costs nothing. */
function knownIn(body: Buffer, cache: CacheNote): KnownAnswer {
  const { answer, told } = JSON.parse(body.toString('utf8')) as KnownAnswer;
  return {
    told,
    answer: {
      ...answer,
      generatedBy: { ...answer.generatedBy, tier: 'cached' },
      usage: { inputTokens: 0, outputTokens: 0, embeddingTokens: 0 },
      costNanoUsd: 0n,
      cache,
    },
  };
}

/** Under what an entry that holds something of a document is found when the document goes. */
export function documentTag(documentId: string): string {
  return `document:${documentId}`;
}

function listenTo(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) listener();
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}
