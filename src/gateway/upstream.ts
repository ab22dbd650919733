import type { ProviderKey, Target } from '../routing/index.ts';
import type { ModelCall, ReplyFacts } from './model-call.ts';

/** One attempt at one provider, over whatever wire it speaks. */
export interface UpstreamRequest {
  readonly call: ModelCall;
  readonly target: Target;
  /** The one of the provider's keys that this attempt uses; null when the server asks for none. */
  readonly key: ProviderKey | null;
}

export type FailureKind =
  | 'connect_timeout'
  | 'first_byte_timeout'
  | 'idle_timeout'
  | 'connection'
  | 'stopped'
  /** The reply is larger than is taken, or cannot be read. */
  | 'too_large'
  | 'malformed'
  /**
   * The call asks for what a provider of this kind cannot be asked for. Nothing was sent, and it says nothing of the
   * provider's health; `cause` is the AppError `invalid` that names the field. Another target may take the call.
   */
  | 'unsupported';

/** The exchange broke; a reply with an error status is no failure in this sense. */
export interface UpstreamFailure {
  readonly kind: FailureKind;
  readonly cause: Error;
}

/**
 * Is told what comes back, in the dialect of the call whatever the provider speaks; after `end` or `failed` nothing
 * more comes.
 */
export interface UpstreamReceiver {
  head(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void;
  data(chunk: Buffer): void;
  end(): void;
  failed(failure: UpstreamFailure): void;
}

export interface UpstreamExchange {
  /** What the provider told in its own words, where the reply was translated; null: it is in the reply's bytes. */
  readonly facts: ReplyFacts | null;
  /** Whether the request has begun to leave; while a connection is being made it has not. */
  readonly sent: boolean;
  /** Ends the exchange at once; the receiver is told nothing more. */
  abort(): void;
  pause(): void;
  resume(): void;
}

/** How long a provider may take, in milliseconds. */
export interface UpstreamTimeouts {
  readonly connectMs: number;
  /** From the request's last byte to the reply's headers. */
  readonly firstByteMs: number;
  /** Between two pieces of a reply. */
  readonly idleMs: number;
}

export interface Upstream {
  /** Never throws: what goes wrong is told to the receiver. */
  send(request: UpstreamRequest, receiver: UpstreamReceiver): UpstreamExchange;
  /** Cuts what is still open. */
  stop(): Promise<void>;
}
