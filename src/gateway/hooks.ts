import type { Answer, ModelCall, WholeAnswer } from './model-call.ts';

/**
 * What guardrails and caches may do to a call; compose supplies them, and without one its step passes everything.
 * Each may throw an AppError, which ends the call and is what the caller sees.
 */
export interface GatewayHooks {
  /** Looks at a request before anything is reserved or sent. */
  readonly guardInput?: (call: ModelCall) => Promise<void>;
  /** Gives an answer that is already known, in place of a call. */
  readonly lookInCache?: (call: ModelCall) => WholeAnswer | null | Promise<WholeAnswer | null>;
  /** Looks at a whole answer before its first byte leaves; gives it back, changed or not. */
  readonly guardOutput?: (call: ModelCall, answer: WholeAnswer) => WholeAnswer | Promise<WholeAnswer>;
  /** Opens a check of one stream. */
  readonly guardStream?: (call: ModelCall) => StreamGuard;
  /** Told of each answer that was given in full, when the call is settled; it must not throw. */
  readonly remember?: (call: ModelCall, answer: Answer) => void;
}

/** Sits between a provider's stream and the caller: it may hold bytes back, change them, or end the stream by throwing. */
export interface StreamGuard {
  /** @param events whole events. @returns those that may leave now. */
  push(events: Buffer): Buffer;
  /** The stream is over. @returns what was still held back. */
  end(): Buffer;
}
