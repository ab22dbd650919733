import type { ModelTurn as CacheTurn } from '../cache/index.ts';
import type { Resolution } from '../routing/index.ts';
import type { ModelCall, WholeAnswer } from './model-call.ts';

/**
 * What guardrails and caches may do to a call; `compose/gateway.ts` supplies them, and without one its step passes everything.
 * Each may throw an AppError, which ends the call and is what the caller sees.
 */
export interface GatewayHooks {
  /** Looks at a request before anything is reserved or sent. */
  readonly guardInput?: (call: ModelCall) => Promise<void>;
  /** Answers that are already known, in place of calls. */
  readonly cache?: AnswerCache;
  /** Looks at a whole answer before its first byte leaves; gives it back, changed or not. */
  readonly guardOutput?: (call: ModelCall, answer: WholeAnswer) => WholeAnswer | Promise<WholeAnswer>;
  /** Opens a check of one stream. */
  readonly guardStream?: (call: ModelCall) => StreamGuard;
}

/** Sits between a provider's stream and the caller: it may hold bytes back, change them, or end the stream by throwing. */
export interface StreamGuard {
  /** @param events whole events. @returns those that may leave now. */
  push(events: Buffer): Buffer;
  /** The stream is over. @returns what was still held back. */
  end(): Buffer;
}

export interface AnswerCache {
  /**
   * Takes a call's turn: gives its answer, or lets it make one. Null: answers of this call are not kept.
   * @throws AppError `bad_request` when the caller's wish about the cache is not one.
   */
  open(call: ModelCall, resolution: Resolution): CacheTurn | null | Promise<CacheTurn | null>;
}
