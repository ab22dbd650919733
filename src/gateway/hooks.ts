import type { TokenUsage } from '../costs/index.ts';
import type { Resolution } from '../routing/index.ts';
import type { GeneratedBy, ModelCall, WholeAnswer } from './model-call.ts';

/**
 * What guardrails and caches may do to a call; compose supplies them, and without one its step passes everything.
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
  /** Takes a call's turn: gives its answer, or lets it make one. Null: answers of this call are not kept. */
  open(call: ModelCall, resolution: Resolution): CacheTurn | null | Promise<CacheTurn | null>;
}

/** One call's dealings with the cache. Ends with `keep` or `release`. */
export interface CacheTurn {
  /** An answer in place of a call. */
  readonly known: CachedReply | null;
  /** Told of a complete answer; must not throw. */
  keep(reply: CachedReply): void;
  /** The call ended without an answer to keep, so that somebody else may try. A second ending is ignored. */
  release(): void;
  /** When every target failed: an answer past its time, if there is one. */
  stale(): CachedReply | null;
}

/** An answer as it left, whole or as a stream with its end mark. */
export interface CachedReply {
  readonly streamed: boolean;
  readonly contentType: string;
  readonly headers: WholeAnswer['headers'];
  readonly body: Buffer;
  readonly generatedBy: GeneratedBy;
  readonly usage: TokenUsage;
  /** What the call cost that made it, nano-dollars; null without a price. */
  readonly costNanoUsd: bigint | null;
  /** When it was made, milliseconds since 1970. */
  readonly storedAtMs: number;
}
