import type { Permission, Principal } from '../access/index.ts';
import type { Operation, TokenUsage } from '../costs/index.ts';
import type { AppError } from '../platform/errors.ts';
import type { PreferredTier, Target } from '../routing/index.ts';
import type { Cancellation } from './cancellation.ts';
import type { JsonObject } from './json-object.ts';
import type { Translation } from './translation/translation.ts';

/** Who calls, and what the call is known by from here to the provider and into the ledger. */
export interface Caller {
  readonly principal: Principal;
  readonly correlationId: string;
  readonly traceparent?: string | undefined;
}

/** One request for a model, as every route that reaches one states it. */
export interface ModelCall {
  /** Also the id of its ledger row. */
  readonly id: string;
  readonly caller: Caller;
  /** What the caller must be allowed: `models:call`, or `queries:run` for what answers do on the caller's behalf. */
  readonly permission: Permission;
  /** A route's name, or `provider/model`. */
  readonly model: string;
  readonly streamed: boolean;
  readonly dialect: Dialect;
  readonly request: DialectRequest;
  /** Of the request over HTTP; absent for a call made in this process. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined;
  /** The tier to begin with, where the route has it. */
  readonly prefer?: PreferredTier | undefined;
  readonly cancellation: Cancellation;
  readonly madeFor: MadeFor;
  /** Null for a call in this process, on behalf of a request that was counted when it came in, or of the platform. */
  readonly entry: Entry | null;
}

/** The request over HTTP that a call is, as limits of requests see it. */
export interface Entry {
  /** The caller's network. */
  readonly ip: string;
  readonly weight: number;
  /** Limits have decided, so the request counts once: these headers tell of it, whatever becomes of the call. */
  decided(headers: Readonly<Record<string, string>>): void;
}

/** What a call is made for, as its caller says; costs are broken down and budgets set by it. */
export interface MadeFor {
  /** At most 100 characters; null: not said. */
  readonly promptId: string | null;
  /** At most ten different ones of at most 64 characters. */
  readonly tags: readonly string[];
}

/** A request body as it came, with what had to be understood of it. */
export interface DialectRequest {
  readonly bytes: Buffer;
  /** The most tokens the caller lets the model write; null when the caller set no bound. */
  readonly outputBound: number | null;
  /** The body as the client's parser would see it. Parsed anew: it is for translations and estimates, not for each call. */
  parsed(): JsonObject;
  /** What goes to a target that speaks this dialect: another model name, and a wish for usage. */
  bodyFor(target: Target): Buffer;
  /**
   * Whether the request may be sent again when a provider may have begun to work on it: false when the provider itself
   * acts on the world or keeps state (web search, code execution, MCP, background or stored replies).
   */
  readonly repeatable: boolean;
  /** Whether the event with the usage is for us only, because the client did not ask for it. */
  readonly hidesUsageEvent: boolean;
  /** The caller's headers that go to a provider that speaks this dialect: names and values in turn. Absent: none. */
  readonly passedHeaders?: readonly string[];
  /** Tokens of the request by our own estimate, for where this target's provider does not tell. */
  estimateInputTokens(target: Target): number;
}

/** What a dialect understood of a request over HTTP. */
export interface CallerRequest extends DialectRequest {
  readonly model: string;
  readonly streamed: boolean;
}

export type DialectName =
  | 'openai-chat'
  | 'openai-responses'
  | 'openai-embeddings'
  | 'anthropic-messages'
  | 'anthropic-count-tokens';

/** A wire format: how to ask a provider in it and how to read what comes back. */
export interface Dialect {
  readonly name: DialectName;
  readonly operation: Operation;
  /** To and from the neutral form, for providers that do not speak this dialect; null when there is no such way. */
  readonly translation: Translation | null;
  /** Bytes that a reply in one piece may have. */
  readonly maxReplyBytes: number;
  /** Null when the body is not a reply in this dialect at all. */
  readReply(body: Buffer): ReplyFacts | null;
  /** Reads a stream's events as they pass. */
  readStream(hidesUsageEvent: boolean): StreamReader;
}

/** Reads one stream's events. */
export interface StreamReader {
  /**
   * @param event one whole event, its bytes as latin1 so that looking at it costs little.
   * @returns whether it goes to the caller, is for us only, or is the mark that ends the stream. `hold`: it goes to the
   *   caller together with the next one, because another target can still take over: nothing of the answer is in it.
   */
  read(event: string): 'pass' | 'hold' | 'drop' | 'end';
  /** The provider said that it was done: by the end mark, or by giving a reason to stop. */
  readonly finished: boolean;
  /** The provider sent an error in place of the rest. */
  readonly failed: boolean;
  facts(): ReplyFacts;
}

/** What the ledger needs from a reply. */
export interface ReplyFacts {
  readonly model: string | null;
  /** As the provider sent it, valid JSON; null when it sent none that can be used. */
  readonly rawUsage: string | null;
  readonly usage: TokenUsage | null;
  /** The output in `usage` is our own estimate: the provider told of the input and was cut off. */
  readonly outputEstimated?: boolean;
  /** Tokens of what was written by our own estimate; asked for only when `usage` is null. */
  estimateOutputTokens(): number;
}

/** Where an answer came from (`X-Gatehouse-Generated-By`). */
export interface GeneratedBy {
  readonly tier: string;
  readonly provider: string;
  readonly model: string;
}

/** A provider's whole reply, or the refusal of a request that the caller can mend. */
export interface WholeAnswer {
  readonly kind: 'whole';
  readonly status: number;
  readonly contentType: string;
  /** Headers of the provider's that are safe to pass on. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly generatedBy: GeneratedBy;
}

/** A stream whose last bytes are held back until the call is settled. */
export interface StreamedAnswer {
  readonly kind: 'streamed';
  /** What is still to be sent: the end mark, or an event that says what went wrong. */
  readonly tail: Buffer;
  /** What went wrong after the first byte, if anything did. */
  readonly error: AppError | null;
  readonly generatedBy: GeneratedBy;
}

export type Answer = WholeAnswer | StreamedAnswer;

/** Takes a stream's bytes on their way to the caller. */
export interface StreamSink {
  /** The first bytes are about to come. `resume` is to be called when a slow reader has caught up. */
  open(head: Pick<WholeAnswer, 'contentType' | 'headers' | 'generatedBy'>, resume: () => void): void;
  /** @returns false when the reader is slow: no more bytes come until `resume` is called. */
  write(bytes: Buffer): boolean;
}
