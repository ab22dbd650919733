import { AppError } from '../platform/errors.ts';
import type { Target } from '../routing/index.ts';
import type { CallAccount } from './call-account.ts';
import type { StreamGuard } from './hooks.ts';
import type { ModelCall, ReplyFacts, StreamSink } from './model-call.ts';
import { StreamRelay } from './stream-relay.ts';
import type {
  FailureKind,
  Upstream,
  UpstreamExchange,
  UpstreamFailure,
  UpstreamReceiver,
} from './upstream.ts';

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** How one attempt at one target came out. */
export type Outcome =
  /** A whole reply of any status. */
  | {
      readonly kind: 'whole';
      readonly status: number;
      readonly headers: Headers;
      readonly body: Buffer;
      /** What the provider told in its own words; null: it is in the body. */
      readonly facts: ReplyFacts | null;
    }
  /** A stream that ended well; `tail` is what is still to be sent. */
  | { readonly kind: 'streamed'; readonly headers: Headers; readonly tail: Buffer }
  /** It broke; `begun` when the caller has bytes of it already, so that no other target can take over. */
  | { readonly kind: 'broken'; readonly begun: boolean; readonly why: Breakage; readonly cause: unknown };

export type Breakage = FailureKind | 'cancelled' | 'provider_error' | 'blocked';

/** An error page need not be longer to be understood. */
const maxErrorBytes = 1024 * 1024;

/**
 * Sends a call to one target and follows it to its end. Whole replies are gathered up to their bound; streams are
 * passed on as they come, no faster than the caller reads.
 * @returns how it came out; never rejects.
 */
export function attempt(
  upstream: Upstream,
  call: ModelCall,
  target: Target,
  account: CallAccount,
  sink: StreamSink,
  guard: StreamGuard | null,
): Promise<Outcome> {
  return new Promise((resolve) => {
    new Attempt(call, target, account, sink, guard, resolve).begin(upstream);
  });
}

class Attempt implements UpstreamReceiver {
  readonly #call: ModelCall;
  readonly #target: Target;
  readonly #account: CallAccount;
  readonly #sink: StreamSink;
  readonly #guard: StreamGuard | null;
  readonly #resolve: (outcome: Outcome) => void;
  readonly #startedMs: number;
  #exchange: UpstreamExchange | null = null;
  #over = false;
  #status = 0;
  #headers: Headers = {};
  #relay: StreamRelay | null = null;
  #opened = false;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #maxBytes = 0;

  constructor(
    call: ModelCall,
    target: Target,
    account: CallAccount,
    sink: StreamSink,
    guard: StreamGuard | null,
    resolve: (outcome: Outcome) => void,
  ) {
    this.#call = call;
    this.#target = target;
    this.#account = account;
    this.#sink = sink;
    this.#guard = guard;
    this.#resolve = resolve;
    this.#startedMs = account.sinceStartMs();
  }

  begin(upstream: Upstream): void {
    const { cancellation } = this.#call;
    if (cancellation.reason !== null) {
      this.#broken('cancelled', null);
      return;
    }
    cancellation.listen(() => {
      if (this.#exchange?.sent) this.#account.mayBeCharged = true;
      this.#abort('cancelled', null);
    });
    const key = this.#target.provider.keys[0] ?? null;
    this.#exchange = upstream.send({ call: this.#call, target: this.#target, key }, this);
  }

  head(status: number, headers: Headers): void {
    this.#status = status;
    this.#headers = headers;
    const ok = status < 300;
    this.#account.mayBeCharged = ok;
    this.#maxBytes = ok ? this.#call.dialect.maxReplyBytes : maxErrorBytes;
    if (!ok || !this.#call.streamed || !isEventStream(headers)) return;
    const reader = this.#call.dialect.readStream(this.#call.request.hidesUsageEvent);
    this.#relay = new StreamRelay(reader, this, this.#guard);
  }

  data(chunk: Buffer): void {
    if (this.#relay) {
      this.#passOn(this.#relay, chunk);
      return;
    }
    this.#bytes += chunk.length;
    this.#chunks.push(chunk);
    if (this.#bytes > this.#maxBytes) this.#abort('too_large', null);
  }

  end(): void {
    if (this.#relay) {
      this.#endStream(this.#relay);
      return;
    }
    const [only] = this.#chunks;
    const body = only && this.#chunks.length === 1 ? only : Buffer.concat(this.#chunks);
    const facts = this.#exchange?.facts ?? null;
    this.#finish({ kind: 'whole', status: this.#status, headers: this.#headers, body, facts });
  }

  failed(failure: UpstreamFailure): void {
    // A provider that was still working when we gave up may charge for the work.
    if (failure.kind === 'first_byte_timeout' || failure.kind === 'idle_timeout')
      this.#account.mayBeCharged = true;
    this.#broken(failure.kind, failure.cause);
  }

  /** What the relay lets through. Nothing is opened before there is something to send. */
  write(bytes: Buffer): boolean {
    if (!this.#opened) {
      this.#opened = true;
      this.#account.firstTokenMs ??= this.#account.sinceStartMs();
      const { tier, provider, model } = this.#target;
      const contentType = String(this.#headers['content-type']);
      const generatedBy = { tier, provider: provider.name, model };
      this.#sink.open({ contentType, headers: safeHeaders(this.#headers), generatedBy }, () =>
        this.#exchange?.resume(),
      );
    }
    return this.#sink.write(bytes);
  }

  #passOn(relay: StreamRelay, chunk: Buffer): void {
    try {
      const keepsUp = relay.push(chunk);
      if (keepsUp === 'malformed') this.#abort('malformed', null);
      else if (!keepsUp) this.#exchange?.pause();
    } catch (error) {
      this.#abort(error instanceof AppError ? 'blocked' : 'malformed', error);
    }
  }

  #endStream(relay: StreamRelay): void {
    let tail: Buffer;
    try {
      tail = relay.finish();
    } catch (error) {
      this.#broken(error instanceof AppError ? 'blocked' : 'malformed', error);
      return;
    }
    if (relay.reader.failed) this.#broken('provider_error', null);
    else if (relay.reader.finished) this.#finish({ kind: 'streamed', headers: this.#headers, tail });
    else this.#broken('connection', new Error('the stream ended before it was done'));
  }

  #abort(why: Breakage, cause: unknown): void {
    this.#exchange?.abort();
    this.#broken(why, cause);
  }

  #broken(why: Breakage, cause: unknown): void {
    this.#finish({ kind: 'broken', begun: this.#opened, why, cause });
  }

  #finish(outcome: Outcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#call.cancellation.listen(null);
    if (this.#relay) this.#account.facts = this.#exchange?.facts ?? this.#relay.reader.facts();
    this.#account.upstreamMs += this.#account.sinceStartMs() - this.#startedMs;
    this.#resolve(outcome);
  }
}

function isEventStream(headers: Headers): boolean {
  return String(headers['content-type'] ?? '')
    .toLowerCase()
    .startsWith('text/event-stream');
}

/** A provider's headers that mean the same to the caller; its limits and cookies are between it and us. */
export function safeHeaders(headers: Headers): Readonly<Record<string, string>> {
  // OpenAI's name for it, and Anthropic's.
  const id = headers['x-request-id'];
  if (typeof id === 'string') return { 'x-request-id': id };
  const anthropicId = headers['request-id'];
  return typeof anthropicId === 'string' ? { 'request-id': anthropicId } : noHeaders;
}

const noHeaders = Object.freeze({});
