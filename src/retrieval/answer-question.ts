import { type Principal, requirePermission } from '../access/index.ts';
import type { DatabaseScope } from '../platform/database/database.ts';
import { AppError, type ErrorCode } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { buildPrompt, notInSources } from './answer-prompt.ts';
import {
  type AnswerPart,
  type CheckedSentence,
  type Citation,
  createAnswerChecker,
  type StoredSlices,
} from './checked-answer.ts';
import type { FindPassages, FoundPassages, SearchFilters } from './find-passages.ts';
import type { Caller, Chat } from './model-calls.ts';
import { COVERED_FROM, coverage } from './passages/coverage.ts';
import { quoteAnswer } from './quote-answer.ts';

export interface AnswerQuestionDependencies {
  readonly findPassages: FindPassages;
  readonly storedSlices: StoredSlices;
  readonly chat: Chat;
  /** The model that the routes name for answers; null when there is none. */
  readonly answerModelFor: (principal: Principal) => string | null;
  /** Estimated tokens of a text. */
  readonly estimateTokens: (text: string) => number;
  /** Told of every answer that was given. */
  readonly record: (caller: Caller, answer: Answer) => void;
  readonly log: Log;
}

export interface Question {
  readonly query: string;
  /** Absent: the one that the routes name. */
  readonly model?: string | undefined;
  /** How many passages an answer may be made of, 1 to 20. */
  readonly limit: number;
  readonly filters: SearchFilters;
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
}

export type AnswerEvent =
  | AnswerPart
  /** What was told so far does not stand; the answer begins anew. */
  | { readonly kind: 'restart'; readonly reason: string };

export type AnswerQuestion = (
  caller: Caller,
  question: Question,
  tell?: (event: AnswerEvent) => void | Promise<void>,
) => Promise<Answer>;

/** What a model is shown at most, in estimated tokens: some twenty passages. */
const promptTokens = 6_000;
/** A model that writes more than this many characters is stopped. Not told to it: some refuse a bound on tokens. */
const maxAnswerCharacters = 40_000;

/** Answers a question from the documents that the caller may read. The second story of the house, start to finish. */
export function createAnswerQuestion(deps: AnswerQuestionDependencies): AnswerQuestion {
  const { findPassages, storedSlices, chat } = deps;

  return async (caller, question, tell = () => {}) => {
    requirePermission(caller.principal, 'queries:run');
    // A follow-up will be rewritten here into a question of its own, once there are threads.
    const found = await findPassages(caller, question); // the index proposes, the database disposes
    const model = question.model ?? deps.answerModelFor(caller.principal);
    const draft =
      model === null || found.passages.length === 0
        ? await quote(caller.principal, question, found, tell)
        : await askModel(caller, model, question, found, tell).catch((error) =>
            quoteInstead(error, caller, question, found, tell),
          );
    const answer = settle(draft, found); // its citations were checked against the stored text as it was made
    deps.record(caller, answer);
    return answer;
  };

  async function askModel(
    caller: Caller,
    model: string,
    { query, limit }: Question,
    found: FoundPassages,
    tell: (event: AnswerEvent) => void | Promise<void>,
  ): Promise<Draft> {
    const passages = found.passages.slice(0, limit);
    const speaks = speaksOf(query, found);
    const { messages, shown } = buildPrompt(query, passages, promptTokens, deps.estimateTokens);
    const checker = createAnswerChecker(caller.principal, passages.slice(0, shown), storedSlices, tell);
    // Pieces are checked in order even when they come faster than the database answers.
    let checking: Promise<void> = Promise.resolve();
    const take = (piece: string): Promise<void> => {
      checking = checking.then(() => checker.write(piece));
      // Whoever does not wait for this piece hears of its failure at the end.
      checking.catch(() => {});
      return checking;
    };
    const leash = new AbortController();
    let streamed = 0;
    const said = await chat(
      { ...caller, signal: AbortSignal.any([caller.signal, leash.signal]) },
      { model, messages, prefer: tierFor(speaks) },
      (piece) => {
        streamed += piece.length;
        if (streamed > maxAnswerCharacters) leash.abort();
        else return take(piece);
      },
    )
      .catch((error) => {
        throw leash.signal.aborted
          ? new AppError('upstream_failed', 'It wrote without end.', { cause: error })
          : error;
      })
      // A model that fails leaves no sentence behind that would come after what is told instead.
      .finally(() => checking.catch(() => {}));
    await take(said.text.slice(streamed));
    const checked = await checker.end();
    const claims = checked.sentences.filter(({ citations, supported }) => !supported || citations.length > 0);
    const supported = claims.filter((sentence) => sentence.supported).length;
    const covered = supported > 0;
    if (!covered && checked.text === '') await tell({ kind: 'text', text: notInSources });
    return {
      ...checked,
      text: checked.text === '' ? notInSources : checked.text,
      generatedBy: said.generatedBy,
      covered,
      confidence: covered ? confidenceOf(speaks, supported / claims.length) : 0,
      usage: said.usage,
      costNanoUsd: said.costNanoUsd,
      warnings: warningsOf(checked, claims.length > 0 && !covered, said.finishReason === 'length'),
    };
  }

  /** Quotes the best passages; says so when they do not answer. */
  async function quote(
    scope: DatabaseScope,
    { query, limit }: Question,
    found: FoundPassages,
    tell: (event: AnswerEvent) => void | Promise<void>,
  ): Promise<Draft> {
    const confidence = speaksOf(query, found);
    const quoted =
      confidence >= COVERED_FROM
        ? await quoteAnswer(scope, query, found.passages.slice(0, limit), storedSlices, tell)
        : { text: '', sentences: [], citations: [] };
    const covered = quoted.citations.length > 0;
    if (!covered) await tell({ kind: 'text', text: notInSources });
    return {
      ...quoted,
      text: covered ? quoted.text : notInSources,
      generatedBy: { tier: 'search_results', provider: null, model: null },
      covered,
      confidence: covered ? confidence : 0,
      usage: { inputTokens: 0, outputTokens: 0 },
      costNanoUsd: 0n,
      warnings: [],
    };
  }

  /** A model that fails must not leave the question unanswered. @throws what is the caller's to mend, or to hear. */
  async function quoteInstead(
    error: unknown,
    caller: Caller,
    question: Question,
    found: FoundPassages,
    tell: (event: AnswerEvent) => void | Promise<void>,
  ): Promise<Draft> {
    if (caller.signal.aborted || isForTheCaller(error, question.model !== undefined)) throw error;
    deps.log.warn(
      { err: error, correlation_id: caller.correlationId },
      'passages are quoted in place of a model',
    );
    const why = error instanceof AppError && error.code !== 'internal' ? ` (${error.message})` : '';
    const reason = `The model did not answer${why}, so the best passages are quoted instead.`;
    await tell({ kind: 'restart', reason });
    const draft = await quote(caller.principal, question, found, tell);
    return { ...draft, warnings: [reason] };
  }
}

/** An answer before what the search cost is added. */
type Draft = Omit<Answer, 'usage'> & {
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number };
};

/** What no other way of answering would mend: the caller may not, or named a model that is not there. */
function isForTheCaller(error: unknown, namedModel: boolean): boolean {
  if (!(error instanceof AppError)) return false;
  const always: readonly ErrorCode[] = ['client_gone', 'forbidden', 'tenant_suspended', 'shutting_down'];
  const ofNamedModel: readonly ErrorCode[] = [
    'model_not_found',
    'no_model_configured',
    'invalid',
    'bad_request',
  ];
  return always.includes(error.code) || (namedModel && ofNamedModel.includes(error.code));
}

/** How far the passages speak of what the question asks, 0 to 1. */
function speaksOf(query: string, { passages }: FoundPassages): number {
  return coverage(
    query,
    passages.map(({ text }) => text),
  );
}

/**
 * The tier that answers first. A retrieval is of low confidence when its passages speak of less of the question than
 * from which on they count as covering it: most likely the answer is that the sources do not say, and for that a small
 * model will do. The line is the one below which nothing is quoted without a model.
 */
export function tierFor(speaksOfQuestion: number): 'economical' | undefined {
  return speaksOfQuestion < COVERED_FROM ? 'economical' : undefined;
}

/**
 * Confidence in a model's answer: the share of its claims that a citation bears out, times (1 + c) / 2, where c is how
 * far the passages speak of the question. A quoted answer is borne out by itself, so c alone is its confidence; an
 * answer that nothing bears out has none.
 */
export function confidenceOf(speaksOfQuestion: number, supportedShare: number): number {
  return supportedShare * ((1 + speaksOfQuestion) / 2);
}

function warningsOf(
  checked: { readonly withheld: boolean; readonly unknownMarkers: boolean },
  nothingSupported: boolean,
  cutOff: boolean,
): string[] {
  return [
    checked.withheld &&
      'A document was changed, removed or withdrawn while the answer was made; what rested on it is left out.',
    checked.unknownMarkers && 'The model cited sources that it was not given; those citations are left out.',
    nothingSupported && 'No sentence of this answer is borne out by the sources.',
    cutOff && 'The answer was cut off at its longest length.',
  ].filter((warning) => warning !== false);
}

function settle(draft: Draft, found: FoundPassages): Answer {
  const isPriced = draft.costNanoUsd !== null && found.costNanoUsd !== null;
  return {
    ...draft,
    confidence: Math.round(draft.confidence * 1_000) / 1_000,
    usage: {
      inputTokens: draft.usage.inputTokens,
      outputTokens: draft.usage.outputTokens,
      embeddingTokens: found.embeddingTokens,
    },
    costNanoUsd: isPriced ? (draft.costNanoUsd ?? 0n) + (found.costNanoUsd ?? 0n) : null,
    warnings: [...found.warnings, ...draft.warnings],
  };
}
