import { type Principal, requirePermission } from '../access/index.ts';
import type { DatabaseScope } from '../platform/database/database.ts';
import { AppError, type ErrorCode } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { Answer, AnswerEvent, AnswerQuestion, Question, Tell } from './answer.ts';
import { buildPrompt, notInSources } from './answer-prompt.ts';
import { createAnswerChecker, type StoredSlices } from './checked-answer.ts';
import type { FindPassages, FoundPassages } from './find-passages.ts';
import type { AnswerTurn, KnownAnswer, OpenKnownAnswer } from './known-answers.ts';
import type { Caller, Chat } from './model-calls.ts';
import { COVERED_FROM, coverage } from './passages/coverage.ts';
import { quoteAnswer } from './quote-answer.ts';

export interface AnswerQuestionDependencies {
  readonly findPassages: FindPassages;
  readonly storedSlices: StoredSlices;
  readonly chat: Chat;
  /** The model that the routes name for answers; null when there is none. */
  readonly answerModelFor: (principal: Principal) => string | null;
  /** Answers that were given before; absent: every answer is made. */
  readonly openKnownAnswer?: OpenKnownAnswer | undefined;
  /** Estimated tokens of a text. */
  readonly estimateTokens: (text: string) => number;
  /** Told of every answer that was given. */
  readonly record: (caller: Caller, answer: Answer) => void;
  readonly log: Log;
}

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
    const model = question.model ?? deps.answerModelFor(caller.principal);
    const turn = model === null ? null : await openKnown(caller, question, model);
    try {
      const answer = turn?.known
        ? await retell(turn.known, tell)
        : await makeAnswer(caller, question, model, turn, tell);
      deps.record(caller, answer);
      return answer;
    } finally {
      turn?.release();
    }
  };

  /** What is known of the question is part of its turn, so the turn comes before anything is read. */
  async function openKnown(caller: Caller, question: Question, model: string): Promise<AnswerTurn | null> {
    return (await deps.openKnownAnswer?.(caller, question, model, question.cache ?? 'use')) ?? null;
  }

  async function makeAnswer(
    caller: Caller,
    question: Question,
    model: string | null,
    turn: AnswerTurn | null,
    tell: Tell,
  ): Promise<Answer> {
    const found = await findPassages(caller, question); // the index proposes, the database disposes
    if (model === null || found.passages.length === 0) {
      turn?.pass();
      return settle(await quote(caller.principal, question, found, tell), found);
    }
    const told: AnswerEvent[] = [];
    const tellAndNote: Tell = (event) => {
      if (turn) told.push(event);
      return tell(event);
    };
    try {
      // Its citations are checked against the stored text as it is made.
      const draft = await askModel(caller, model, question, found, tellAndNote);
      const answer = { ...settle(draft, found), cache: turn?.note };
      if (answer.warnings.length === 0) turn?.keep({ answer, told }, documentsOf(found));
      else turn?.pass();
      return answer;
    } catch (error) {
      return answerWithoutModel(error, caller, question, found, turn, tell);
    }
  }

  /** A model that fails must not leave the question unanswered. @throws what is the caller's to mend, or to hear. */
  async function answerWithoutModel(
    error: unknown,
    caller: Caller,
    question: Question,
    found: FoundPassages,
    turn: AnswerTurn | null,
    tell: Tell,
  ): Promise<Answer> {
    if (caller.signal.aborted || isForTheCaller(error, question.model !== undefined)) throw error;
    const known = turn?.stale() ?? null;
    const instead = known ? 'an earlier answer is given' : 'passages are quoted';
    deps.log.warn({ err: error, correlation_id: caller.correlationId }, `${instead} in place of a model`);
    const why = error instanceof AppError && error.code !== 'internal' ? ` (${error.message})` : '';
    const what = known ? 'its earlier answer is given' : 'the best passages are quoted instead';
    const reason = `The model did not answer${why}, so ${what}.`;
    await tell({ kind: 'restart', reason });
    if (known) return { ...(await retell(known, tell)), warnings: [reason] };
    const draft = await quote(caller.principal, question, found, tell);
    return settle({ ...draft, warnings: [reason] }, found);
  }

  async function askModel(
    caller: Caller,
    model: string,
    { query, limit }: Question,
    found: FoundPassages,
    tell: Tell,
  ): Promise<Draft> {
    const passages = found.passages.slice(0, limit);
    const speaks = speaksOf(found);
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
    { limit }: Question,
    found: FoundPassages,
    tell: Tell,
  ): Promise<Draft> {
    const confidence = speaksOf(found);
    const quoted =
      confidence >= COVERED_FROM
        ? await quoteAnswer(scope, found.asked, found.passages.slice(0, limit), storedSlices, tell)
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
}

/** Tells of an answer what was told when it was made. */
async function retell({ answer, told }: KnownAnswer, tell: Tell): Promise<Answer> {
  for (const event of told) await tell(event);
  return answer;
}

function documentsOf({ passages }: FoundPassages): string[] {
  return passages.map(({ documentId }) => documentId);
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
function speaksOf({ asked, passages }: FoundPassages): number {
  return coverage(
    asked,
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
function confidenceOf(speaksOfQuestion: number, supportedShare: number): number {
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
