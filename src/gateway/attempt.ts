import { AppError } from '../platform/errors.ts';
import type { Target, Visit } from '../routing/index.ts';
import type { CallAccount } from './call-account.ts';
import type { StreamGuard } from './hooks.ts';
import type { ModelCall, StreamSink } from './model-call.ts';
import { type Breakage, type Headers, type Outcome, safeHeaders } from './outcome.ts';
import type { Deadlines, Watched } from './resilience/deadlines.ts';
import { exhaustionIn } from './resilience/provider-limits.ts';
import type { GatewayTimeouts, Timeouts } from './resilience/timeouts.ts';
import { StreamRelay } from './stream-relay.ts';
import type { Upstream, UpstreamExchange, UpstreamFailure, UpstreamReceiver } from './upstream.ts';
import { withoutKey } from './without-key.ts';

/** What an attempt needs, the same for every one of them. */
export interface AttemptDependencies {
  readonly upstream: Upstream;
  readonly deadlines: Deadlines;
  readonly timeouts: Timeouts;
  /** By the monotonic clock. */
  readonly nowMs: () => number;
  /** Since 1970. */
  readonly wallMs: () => number;
}

/** How long a provider may leave its connection open behind the end mark before it is cut; it cannot be used meanwhile. */
const lingerMs = 5_000;
/** An error page need not be longer to be understood. */
const maxErrorBytes = 1024 * 1024;
const bytesPerToken = 4;

/**
 * Sends a call to one target and follows it to its end. Whole replies are gathered up to their bound; streams are
 * passed on as they come, no faster than the caller reads, from the first event that carries something of the answer.
 * @returns how it came out; never rejects.
 */
export function attempt(
  deps: AttemptDependencies,
  call: ModelCall,
  target: Target,
  visit: Visit,
  account: CallAccount,
  sink: StreamSink,
  guard: StreamGuard | null,
): Promise<Outcome> {
  return new Promise((resolve) => {
    new Attempt(deps, call, target, visit, account, sink, guard, resolve).begin();
  });
}

class Attempt implements UpstreamReceiver, Watched {
  readonly #deps: AttemptDependencies;
  readonly #call: ModelCall;
  readonly #target: Target;
  readonly #visit: Visit;
  readonly #account: CallAccount;
  readonly #sink: StreamSink;
  readonly #guard: StreamGuard | null;
  readonly #resolve: (outcome: Outcome) => void;
  readonly #timeouts: GatewayTimeouts;
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
  /** Something came since the last look, so the provider is not silent. */
  #stirred = false;
  /** Since when nothing came, or nothing of the answer while it has not begun. */
  #silentSinceMs = 0;
  #paused = false;

  constructor(
    deps: AttemptDependencies,
    call: ModelCall,
    target: Target,
    visit: Visit,
    account: CallAccount,
    sink: StreamSink,
    guard: StreamGuard | null,
    resolve: (outcome: Outcome) => void,
  ) {
    this.#deps = deps;
    this.#call = call;
    this.#target = target;
    this.#visit = visit;
    this.#account = account;
    this.#sink = sink;
    this.#guard = guard;
    this.#resolve = resolve;
    this.#timeouts = deps.timeouts.of(target.provider);
    this.#startedMs = account.sinceStartMs();
    this.#silentSinceMs = account.startedMs + this.#startedMs;
  }

  begin(): void {
    const { cancellation } = this.#call;
    if (cancellation.reason !== null) {
      this.#broken('cancelled', null);
      return;
    }
    cancellation.listen(() => this.#abort('cancelled', null));
    this.#deps.deadlines.add(this);
    const { key } = this.#visit;
    this.#exchange = this.#deps.upstream.send({ call: this.#call, target: this.#target, key }, this);
  }

  head(status: number, headers: Headers): void {
    this.#stirred = true;
    this.#status = status;
    this.#headers = headers;
    const ok = status < 300;
    if (ok) this.#lookForLimits(headers);
    this.#maxBytes = ok ? this.#call.dialect.maxReplyBytes : maxErrorBytes;
    if (!ok || !this.#call.streamed || !isEventStream(headers)) return;
    const reader = this.#call.dialect.readStream(this.#call.request.hidesUsageEvent);
    this.#relay = new StreamRelay(reader, this, this.#guard);
  }

  data(chunk: Buffer): void {
    if (this.#over) return;
    this.#stirred = true;
    if (this.#relay) {
      this.#passOn(this.#relay, chunk);
      return;
    }
    this.#bytes += chunk.length;
    this.#chunks.push(chunk);
    if (this.#bytes > this.#maxBytes) this.#abort('too_large', null);
  }

  end(): void {
    if (this.#over) {
      this.#deps.deadlines.remove(this);
      return;
    }
    if (this.#relay) {
      this.#endStream(this.#relay);
      return;
    }
    const [only] = this.#chunks;
    let body = only && this.#chunks.length === 1 ? only : Buffer.concat(this.#chunks);
    if (this.#status >= 300) {
      body = withoutKey(body, this.#visit.key);
    } else {
      const facts = this.#exchange?.facts ?? this.#call.dialect.readReply(body);
      this.#account.facts = facts;
      if (facts === null) {
        this.#broken('not_a_reply', null);
        return;
      }
      this.#visit.answered(false);
    }
    this.#finish({ kind: 'whole', status: this.#status, headers: this.#headers, body });
  }

  failed(failure: UpstreamFailure): void {
    this.#deps.deadlines.remove(this);
    this.#broken(failure.kind, failure.cause);
  }

  /** What the relay lets through. Nothing is opened before there is something of the answer to send. */
  write(bytes: Buffer): boolean {
    if (!this.#opened) {
      this.#opened = true;
      this.#visit.answered(true);
      this.#account.firstTokenMs ??= this.#account.sinceStartMs();
      const { tier, provider, model } = this.#target;
      const contentType = String(this.#headers['content-type']);
      const generatedBy = { tier, provider: provider.name, model };
      this.#sink.open({ contentType, headers: safeHeaders(this.#headers), generatedBy }, () =>
        this.#resume(),
      );
    }
    return this.#sink.write(this.#relay?.reader.failed ? withoutKey(bytes, this.#visit.key) : bytes);
  }

  /** Gives up what takes too long. A provider that is held back because the caller reads slowly is not silent. */
  look(nowMs: number): void {
    if (this.#over) {
      this.#linger(nowMs);
      return;
    }
    const { firstTokenMs, idleMs, totalMs } = this.#timeouts;
    const aloft = nowMs - this.#account.startedMs - this.#startedMs;
    if (aloft > totalMs) {
      this.#abort('total_timeout', null);
      return;
    }
    const waitsForAnswer = this.#relay ? !this.#opened : this.#status === 0;
    // While a connection is being made its own time-out holds; the wait for an answer begins with the request.
    if (!this.#exchange?.sent || this.#paused || (this.#stirred && !waitsForAnswer)) {
      this.#stirred = false;
      this.#silentSinceMs = nowMs;
      return;
    }
    const silentMs = nowMs - this.#silentSinceMs;
    if (silentMs > (waitsForAnswer ? firstTokenMs : idleMs))
      this.#abort(waitsForAnswer ? 'first_byte_timeout' : 'idle_timeout', null);
  }

  /** A refusal says for itself what is used up, and for how long. */
  #lookForLimits(headers: Headers): void {
    const { bytes, outputBound } = this.#call.request;
    const tokens = bytes.length / bytesPerToken + (outputBound ?? 0);
    const exhausted = exhaustionIn(headers, this.#deps.wallMs(), tokens);
    if (exhausted) this.#visit.exhausted(exhausted.roomMs, exhausted.fullMs);
  }

  #passOn(relay: StreamRelay, chunk: Buffer): void {
    try {
      const keepsUp = relay.push(chunk);
      if (keepsUp === 'malformed') this.#abort('malformed', null);
      else if (relay.reader.failed && !this.#opened) this.#abort('provider_error', null);
      else if (relay.ended) this.#endStream(relay);
      else if (!keepsUp) this.#pause();
    } catch (error) {
      this.#abort(error instanceof AppError ? 'blocked' : 'malformed', error);
    }
  }

  /** The answer is whole; the connection is of use again once the provider has ended its reply, too. */
  #linger(nowMs: number): void {
    if (nowMs - this.#silentSinceMs <= lingerMs) return;
    this.#exchange?.abort();
    this.#deps.deadlines.remove(this);
  }

  #pause(): void {
    this.#paused = true;
    this.#exchange?.pause();
  }

  #resume(): void {
    this.#paused = false;
    this.#stirred = true;
    this.#exchange?.resume();
  }

  #endStream(relay: StreamRelay): void {
    let tail: Buffer;
    const said = this.#opened ? '' : relay.held();
    try {
      tail = relay.finish();
    } catch (error) {
      this.#broken(error instanceof AppError ? 'blocked' : 'malformed', error);
      return;
    }
    if (relay.reader.failed) this.#broken('provider_error', null, said);
    else if (relay.reader.finished) this.#finish({ kind: 'streamed', headers: this.#headers, tail });
    else this.#broken('connection', new Error('the stream ended before it was done'));
  }

  #abort(why: Breakage, cause: unknown): void {
    const said = why === 'provider_error' ? this.#relay?.held() : undefined;
    this.#exchange?.abort();
    this.#broken(why, cause, said);
  }

  #broken(why: Breakage, cause: unknown, said = ''): void {
    const sent = this.#exchange?.sent ?? false;
    this.#finish({
      kind: 'broken',
      why,
      cause,
      sent,
      begun: this.#opened,
      said: said === '' ? null : withoutKey(Buffer.from(said), this.#visit.key).toString('utf8'),
    });
  }

  #finish(outcome: Outcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#call.cancellation.listen(null);
    // What ended with its mark is followed to the end of its connection.
    if (outcome.kind === 'streamed' && this.#relay?.ended) this.#silentSinceMs = this.#deps.nowMs();
    else this.#deps.deadlines.remove(this);
    const account = this.#account;
    // A translated reply may have been refused half-way: what the provider told before holds.
    const told = this.#exchange?.facts ?? null;
    if (this.#relay) account.facts = told ?? this.#relay.reader.facts();
    else account.facts ??= told;
    // Whoever has the request may work on it and charge for that, until it refuses.
    account.mayBeCharged = this.#status < 300 && (this.#exchange?.sent ?? false);
    account.upstreamMs += account.sinceStartMs() - this.#startedMs;
    this.#resolve(outcome);
  }
}

function isEventStream(headers: Headers): boolean {
  return String(headers['content-type'] ?? '')
    .toLowerCase()
    .startsWith('text/event-stream');
}
