import type { FailureKind } from './upstream.ts';

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** How one attempt at one target came out. */
export type Outcome =
  /** A whole reply: one that can be read, or a refusal of any status. */
  | {
      readonly kind: 'whole';
      readonly status: number;
      readonly headers: Headers;
      readonly body: Buffer;
    }
  /** A stream that ended well; `tail` is what is still to be sent. */
  | { readonly kind: 'streamed'; readonly headers: Headers; readonly tail: Buffer }
  | Broken;

export interface Broken {
  readonly kind: 'broken';
  readonly why: Breakage;
  readonly cause: unknown;
  /** The request had begun to leave, so the provider may have worked on it. */
  readonly sent: boolean;
  /** The caller has bytes of the answer already, so that no other target can take over. */
  readonly begun: boolean;
  /** What the provider said in place of an answer, before one had begun. */
  readonly said: string | null;
}

export type Breakage =
  | FailureKind
  | 'total_timeout'
  | 'cancelled'
  | 'provider_error'
  | 'not_a_reply'
  | 'blocked';

/** A provider's headers that mean the same to the caller; its limits and cookies are between it and us. */
export function safeHeaders(headers: Headers): Readonly<Record<string, string>> {
  // OpenAI's name for it, and Anthropic's.
  const id = headers['x-request-id'];
  if (typeof id === 'string') return { 'x-request-id': id };
  const anthropicId = headers['request-id'];
  return typeof anthropicId === 'string' ? { 'request-id': anthropicId } : noHeaders;
}

const noHeaders = Object.freeze({});
