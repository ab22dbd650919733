import {
  type CallStatus,
  type Charge,
  type EndedCall,
  noUsage,
  type PricedTarget,
  type TokenUsage,
} from '../costs/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { ErrorCode } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import type { Target } from '../routing/index.ts';
import type { HeldCall } from './held-call.ts';
import type { GeneratedBy, ModelCall, ReplyFacts } from './model-call.ts';
import type { Outcome } from './outcome.ts';

/** How a call, or one attempt of it, ended, as the ledger says it. */
export interface Ending {
  readonly status: CallStatus;
  /** Our code, or `upstream_<status>` for a provider's refusal; null when all went well. */
  readonly errorCode: ErrorCode | `upstream_${number}` | null;
}

export interface SettledCall extends Charge {
  readonly usage: TokenUsage;
}

export interface AccountDependencies {
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>;
  readonly newId: NewId;
  readonly record: (
    call: EndedCall,
    target: PricedTarget | null,
  ) => Charge & { readonly written: Promise<void> };
  /** Counts an ended call, for metrics. */
  readonly observe: (
    call: ModelCall,
    account: CallAccount,
    ending: Ending,
    settled: SettledCall,
    durationMs: number,
  ) => void;
  /** Counts what an attempt came to that was not the last of its call. */
  readonly observeEarlier: (target: Target, settled: SettledCall) => void;
}

/** An attempt that has ended; a further one makes it a row of its own. */
interface EndedAttempt {
  readonly ending: Ending;
  /** The provider had at least a part of the request. */
  readonly reached: boolean;
  readonly durationMs: number;
}

/** What one call has come to so far; settled exactly once, however the call ends. */
export class CallAccount {
  attempts = 0;
  /** Where the last attempt went. */
  target: Target | null = null;
  /** What the provider's reply said, as far as there is one. */
  facts: ReplyFacts | null = null;
  /** The provider may charge for tokens that it did not tell about: it had the request, and did not refuse it. */
  mayBeCharged = false;
  /** Milliseconds spent waiting for providers. */
  upstreamMs = 0;
  firstTokenMs: number | null = null;
  settled: SettledCall | null = null;
  /** What limits and budgets hold for it; null while nothing is reserved. */
  held: HeldCall | null = null;
  readonly route: string | null;
  readonly startedMs: number;
  readonly #deps: AccountDependencies;
  readonly #call: ModelCall;
  /** When the call began: the time of its ledger row. */
  readonly at: Date;
  #attemptAt: Date;
  #attemptStartedMs = 0;
  #last: EndedAttempt | null = null;

  constructor(deps: AccountDependencies, call: ModelCall, route: string | null) {
    this.#deps = deps;
    this.#call = call;
    this.route = route;
    this.at = deps.clock.now();
    this.#attemptAt = this.at;
    this.startedMs = deps.clock.monotonicMs();
  }

  sinceStartMs(): number {
    return this.#deps.clock.monotonicMs() - this.startedMs;
  }

  /** An attempt begins. The one before, if a provider had it, gets its row: it may cost something, too. */
  begin(target: Target): void {
    if (this.#last?.reached) this.#recordEarlier(this.#last);
    if (this.attempts > 0) {
      this.#attemptAt = this.#deps.clock.now();
      this.#attemptStartedMs = this.sinceStartMs();
    }
    this.attempts++;
    this.target = target;
    this.facts = null;
    this.mayBeCharged = false;
    this.#last = null;
    this.held?.sends(target);
  }

  /** The attempt has ended. Whether it was the last one is not known yet. */
  ended(outcome: Outcome): void {
    if (outcome.kind === 'streamed' || (outcome.kind === 'whole' && outcome.status < 300)) return;
    this.#last = {
      ending: endingOfAttempt(outcome),
      reached: outcome.kind === 'whole' || outcome.sent,
      durationMs: this.sinceStartMs() - this.#attemptStartedMs,
    };
  }

  /**
   * Writes the call's ledger row. The row is safe when this resolves, so the last byte of the reply may leave after it.
   * A call that reached no provider has no row; a second ending of the same call is ignored.
   */
  async settle(ending: Ending): Promise<void> {
    const { target } = this;
    if (this.settled !== null || target === null || this.attempts === 0) return;
    const durationMs = this.sinceStartMs();
    const { written, settled, estimated } = this.#record(target, ending, {
      id: this.#call.id,
      at: this.at,
      final: true,
      durationMs,
      firstTokenMs: this.firstTokenMs,
    });
    this.settled = settled;
    if (ending.status === 'ok' && !estimated) this.held?.learn(target, settled.usage.outputTokens);
    this.held?.settle();
    this.#deps.observe(this.#call, this, ending, settled, durationMs);
    await written;
  }

  /**
   * Writes the row of a call that was answered from the cache: it reached no provider, used no tokens and costs nothing.
   * @param savedNanoUsd what the answer cost when it was made; null when that had no price.
   */
  async settleCached(by: GeneratedBy, savedNanoUsd: bigint | null): Promise<void> {
    if (this.settled !== null) return;
    const { written } = this.#deps.record(
      {
        ...this.#common({ status: 'ok', errorCode: null }),
        id: this.#call.id,
        at: this.at,
        attempt: 0,
        final: true,
        provider: by.provider,
        model: by.model,
        tier: 'cached',
        responseModel: null,
        rawUsage: null,
        estimated: false,
        usage: noUsage,
        savedNanoUsd,
        durationMs: this.sinceStartMs(),
        firstTokenMs: null,
      },
      null,
    );
    this.held?.settle();
    await written;
  }

  #recordEarlier({ ending, durationMs }: EndedAttempt): void {
    const { target } = this;
    if (target === null) return;
    const { settled } = this.#record(target, ending, {
      id: this.#deps.newId(),
      at: this.#attemptAt,
      final: false,
      durationMs,
      firstTokenMs: null,
    });
    // Rows are written in their order, so this one is safe when the call's own is.
    this.#deps.observeEarlier(target, settled);
  }

  #record(
    target: Target,
    ending: Ending,
    own: Pick<EndedCall, 'id' | 'at' | 'final' | 'durationMs' | 'firstTokenMs'>,
  ): { settled: SettledCall; estimated: boolean; written: Promise<void> } {
    const { usage, estimated } = this.#usage();
    const { written, ...charge } = this.#deps.record(
      {
        ...this.#common(ending),
        ...own,
        attempt: this.attempts,
        provider: target.provider.name,
        model: target.model,
        tier: target.tier,
        responseModel: this.facts?.model ?? null,
        rawUsage: this.facts?.rawUsage ?? null,
        estimated,
        usage,
        savedNanoUsd: null,
      },
      target,
    );
    this.held?.used(usage);
    return { settled: { ...charge, usage }, estimated, written };
  }

  #common({ status, errorCode }: Ending) {
    const { id, caller, dialect, streamed, madeFor } = this.#call;
    return {
      callId: id,
      tenantId: caller.principal.tenantId,
      correlationId: caller.correlationId,
      keyId: caller.principal.keyId,
      userId: caller.principal.userId,
      promptId: madeFor.promptId,
      tags: madeFor.tags,
      operation: dialect.operation,
      dialect: dialect.name,
      route: this.route,
      status,
      errorCode,
      streamed,
      attempts: this.attempts,
    };
  }

  #usage(): { usage: TokenUsage; estimated: boolean } {
    const told = this.facts?.usage;
    if (told) return { usage: told, estimated: this.facts?.outputEstimated === true };
    if (!this.mayBeCharged) return { usage: noUsage, estimated: false };
    const inputTokens = this.target === null ? 0 : this.#call.request.estimateInputTokens(this.target);
    const outputTokens = this.facts?.estimateOutputTokens() ?? 0;
    return { usage: { ...noUsage, inputTokens, outputTokens }, estimated: true };
  }
}

function endingOfAttempt(outcome: Exclude<Outcome, { kind: 'streamed' }>): Ending {
  if (outcome.kind === 'whole') return { status: 'error', errorCode: `upstream_${outcome.status}` };
  return outcome.why.endsWith('_timeout')
    ? { status: 'timeout', errorCode: 'upstream_timeout' }
    : { status: 'error', errorCode: 'upstream_failed' };
}
