import type { Principal } from '../../access/index.ts';
import type { BudgetDemand, DemandState } from '../../limits/index.ts';
import type { AppError } from '../../platform/errors.ts';

/** What of a call budgets look at. */
export interface Spender {
  readonly principal: Principal;
  readonly promptId: string | null;
  readonly tags: readonly string[];
  /** As the first target is asked for it, which is what the ledger says, and as the caller named it. */
  readonly model: string;
  readonly route: string | null;
  /** When the call began, which is the time of its ledger row and decides its period. */
  readonly at: Date;
}

/**
 * Hard limits of budgets, on the way of a call. A reservation only holds: what a call came to is told to the counters by
 * its ledger rows, as each is recorded (`Costs.record`), on every budget that the row falls under. So a counter is the
 * ledger's sum by construction, also for attempts at other models, for calls over a period's end, and for calls that
 * began before the budget did. Whoever settles a reservation leaves budgets' counters out of the actuals.
 */
export interface BudgetGate {
  /**
   * The hard budgets that a call falls under, as demands on the group of its tenant; the same empty list for all others.
   * @param amountNanoUsd what the call is expected to cost, nano-dollars; null: its model has no price.
   * @throws AppError `budget_exceeded` where a budget refuses models without a price.
   */
  demandsFor(spender: Spender, amountNanoUsd: bigint | null): readonly BudgetDemand[];
  /** Makes these counters known: from the ledger, and what this process has spent. @throws AppError `dependency_down`. */
  establish(principal: Principal, counters: readonly string[]): Promise<void>;
  /** 402 with what is left and when the budget starts anew. */
  refusal(demand: BudgetDemand, state: DemandState): AppError;
  /**
   * Notes on disk, before it is sent, that a call is under way whose spend counts against a hard limit, so that it is in
   * the books even if this process is killed. Its ledger row ends the note.
   */
  noteUnderWay(call: CallUnderWay): void;
  /** How long a call may wait for room that others hold, milliseconds, and how many may wait at once. */
  readonly patience: { readonly ms: number; readonly waiters: number };
}

/** What is known of a call before it is sent; enough for its ledger row should its process be killed. */
export interface CallUnderWay {
  readonly id: string;
  readonly at: Date;
  readonly principal: Principal;
  readonly correlationId: string;
  readonly promptId: string | null;
  readonly tags: readonly string[];
  readonly operation: 'chat' | 'embeddings' | 'count_tokens';
  readonly dialect: string;
  readonly route: string | null;
  readonly provider: { readonly name: string; readonly baseUrl: string };
  readonly model: string;
  readonly tier: string;
  readonly streamed: boolean;
  /** What was reserved for it. */
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** How much models write (COST-3): what calls like this one wrote before, so that no more is reserved than they need. */
export interface OutputSizes {
  /** @param bound the caller's own; null: none. @returns tokens to reserve, never more than the bound. */
  expect(call: { tenantId: string; route: string | null; model: string }, bound: number | null): number;
  learn(call: { tenantId: string; route: string | null; model: string }, outputTokens: number): void;
}
