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
import type { Target } from '../routing/index.ts';
import type { ModelCall, ReplyFacts } from './model-call.ts';

/** How a call ended, as the ledger says it. */
export interface Ending {
  readonly status: CallStatus;
  /** Our code, or `upstream_<status>` for a provider's refusal that was passed on; null when all went well. */
  readonly errorCode: ErrorCode | `upstream_${number}` | null;
}

export interface SettledCall extends Charge {
  readonly usage: TokenUsage;
}

export interface AccountDependencies {
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>;
  readonly record: (call: EndedCall, target: PricedTarget) => Charge & { readonly written: Promise<void> };
  /** Counts an ended call, for metrics. */
  readonly observe: (
    call: ModelCall,
    account: CallAccount,
    ending: Ending,
    settled: SettledCall,
    durationMs: number,
  ) => void;
}

/** What one call has come to so far; settled exactly once, however the call ends. */
export class CallAccount {
  attempts = 0;
  /** Where the last attempt went. */
  target: Target | null = null;
  /** What the provider's reply said, as far as there is one. */
  facts: ReplyFacts | null = null;
  /** The provider may charge for tokens that it did not tell about: it began to answer, or we left while it worked. */
  mayBeCharged = false;
  /** Milliseconds spent waiting for providers. */
  upstreamMs = 0;
  firstTokenMs: number | null = null;
  settled: SettledCall | null = null;
  readonly route: string | null;
  readonly startedMs: number;
  readonly #deps: AccountDependencies;
  readonly #call: ModelCall;
  readonly #at: Date;

  constructor(deps: AccountDependencies, call: ModelCall, route: string | null) {
    this.#deps = deps;
    this.#call = call;
    this.route = route;
    this.#at = deps.clock.now();
    this.startedMs = deps.clock.monotonicMs();
  }

  sinceStartMs(): number {
    return this.#deps.clock.monotonicMs() - this.startedMs;
  }

  /**
   * Writes the call's ledger row. The row is safe when this resolves, so the last byte of the reply may leave after it.
   * A call that reached no provider has no row; a second ending of the same call is ignored.
   */
  async settle(ending: Ending): Promise<void> {
    const { target } = this;
    if (this.settled !== null || target === null || this.attempts === 0) return;
    const call = this.#call;
    const { caller, dialect } = call;
    const durationMs = this.sinceStartMs();
    const { usage, estimated } = this.#usage();
    const { written, ...charge } = this.#deps.record(
      {
        id: call.id,
        at: this.#at,
        tenantId: caller.principal.tenantId,
        correlationId: caller.correlationId,
        keyId: caller.principal.keyId,
        userId: caller.principal.userId,
        operation: dialect.operation,
        dialect: dialect.name,
        route: this.route,
        provider: target.provider.name,
        model: target.model,
        responseModel: this.facts?.model ?? null,
        tier: target.tier,
        status: ending.status,
        errorCode: ending.errorCode,
        streamed: call.streamed,
        rawUsage: this.facts?.rawUsage ?? null,
        estimated,
        usage,
        attempts: this.attempts,
        durationMs,
        firstTokenMs: this.firstTokenMs,
      },
      target,
    );
    this.settled = { ...charge, usage };
    this.#deps.observe(call, this, ending, this.settled, durationMs);
    await written;
  }

  #usage(): { usage: TokenUsage; estimated: boolean } {
    const told = this.facts?.usage;
    if (told) return { usage: told, estimated: this.facts?.outputEstimated === true };
    if (!this.mayBeCharged) return { usage: noUsage, estimated: false };
    const inputTokens = this.#call.request.estimateInputTokens();
    const outputTokens = this.facts?.estimateOutputTokens() ?? 0;
    return { usage: { ...noUsage, inputTokens, outputTokens }, estimated: true };
  }
}
