import type { BudgetGate, OutputSizes, TokenUsage } from '../costs/index.ts';
import { noUsage } from '../costs/index.ts';
import type { Counters, Demand } from '../limits/index.ts';
import type { AppError } from '../platform/errors.ts';
import type { Target } from '../routing/index.ts';
import type { Reservation } from './in-flight.ts';
import type { ModelCall } from './model-call.ts';

/** What a call wants of limits and budgets at one target. */
export interface Wanted {
  readonly target: Target | null;
  readonly expected: TokenUsage;
  readonly demands: readonly Demand[];
}

/** One admission of a call. */
export interface Taken {
  readonly id: string;
  readonly demands: readonly Demand[];
  /** Whether it has to be settled. */
  readonly holds: boolean;
}

export interface HeldCallDependencies {
  readonly counters: Pick<Counters, 'settle'>;
  readonly budgets: Pick<BudgetGate, 'noteUnderWay'>;
  readonly outputSizes: Pick<OutputSizes, 'learn'>;
  /** What a further target would want. @throws AppError where a budget refuses it. */
  readonly wants: (call: ModelCall, route: string | null, at: Date, target: Target) => Wanted;
  /** Admits what a further target wants beyond what is held. @throws AppError when there is no room. */
  readonly takeMore: (call: ModelCall, demands: readonly Demand[]) => Promise<Taken> | Taken;
  /** Tells calls that wait for room that this one has ended. */
  readonly freed: (tenantId: string) => void;
}

/** What a call holds of limits and budgets, from the reserve step to its end. */
export class HeldCall {
  readonly #deps: HeldCallDependencies;
  readonly #call: ModelCall;
  readonly #route: string | null;
  readonly #at: Date;
  readonly #inFlight: Reservation;
  readonly #taken: Taken[] = [];
  /** As the target wants it that the call goes to now. */
  #wanted: Wanted;
  /** Tokens used so far, by the counters of the targets that used them. */
  #tokens: Map<string, number> | null = null;
  #settled = false;

  constructor(
    deps: HeldCallDependencies,
    call: ModelCall,
    route: string | null,
    at: Date,
    inFlight: Reservation,
    wanted: Wanted,
    taken: Taken,
  ) {
    this.#deps = deps;
    this.#call = call;
    this.#route = route;
    this.#at = at;
    this.#inFlight = inFlight;
    this.#wanted = wanted;
    this.#taken.push(taken);
  }

  /** Whether a target is the one that was reserved for, so that nothing has to be asked. */
  covers(target: Target): boolean {
    return target === this.#wanted.target;
  }

  /**
   * Reserves what a further target wants beyond what is held: limits and budgets of its own model, and the difference
   * where it is dearer. So no call gets by a fallback what it would not have got by asking for it.
   * @returns null when it may be asked, else why not.
   */
  cover(target: Target): AppError | null | Promise<AppError | null> {
    const refused = (error: unknown) => error as AppError;
    try {
      const wanted = this.#deps.wants(this.#call, this.#route, this.#at, target);
      const more = this.#beyondHeld(wanted.demands);
      if (more.length === 0) {
        this.#wanted = wanted;
        return null;
      }
      const take = (taken: Taken) => {
        this.#taken.push(taken);
        this.#wanted = wanted;
        return null;
      };
      const taking = this.#deps.takeMore(this.#call, more);
      return taking instanceof Promise ? taking.then(take, refused) : take(taking);
    } catch (error) {
      return refused(error);
    }
  }

  /** The call is about to be sent: if a hard budget holds something for it, that is noted first. */
  sends(target: Target): void {
    const { demands, expected } = this.#wanted;
    if (!demands.some(({ kind }) => kind === 'budget')) return;
    const { id, caller, madeFor, dialect, streamed } = this.#call;
    this.#deps.budgets.noteUnderWay({
      id,
      at: this.#at,
      principal: caller.principal,
      correlationId: caller.correlationId,
      promptId: madeFor.promptId,
      tags: madeFor.tags,
      operation: dialect.operation,
      dialect: dialect.name,
      route: this.#route,
      provider: { name: target.provider.name, baseUrl: target.provider.baseUrl },
      model: target.model,
      tier: target.tier,
      streamed,
      inputTokens: expected.inputTokens,
      outputTokens: expected.outputTokens,
    });
  }

  /** Counts what an attempt came to, for the target that the call went to last. */
  used({ inputTokens, outputTokens }: TokenUsage): void {
    const tokens = inputTokens + outputTokens;
    if (tokens === 0) return;
    for (const demand of this.#wanted.demands) {
      if (demand.kind !== 'window' || !demand.reserved) continue;
      this.#tokens ??= new Map();
      this.#tokens.set(demand.counter, (this.#tokens.get(demand.counter) ?? 0) + tokens);
    }
  }

  /** Learns from a complete answer how much the model writes. */
  learn(target: Target, outputTokens: number): void {
    if (this.#call.dialect.operation !== 'chat') return;
    const { tenantId } = this.#call.caller.principal;
    this.#deps.outputSizes.learn({ tenantId, route: this.#route, model: target.model }, outputTokens);
  }

  /**
   * Gives back what is held, once; what the call used is counted instead. Money is not told here: its ledger rows have
   * told budgets what was spent, before this.
   */
  settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    const { tenantId } = this.#call.caller.principal;
    const tokens = this.#tokens ?? nothing;
    const counted = new Set<string>();
    for (const { id, demands, holds } of this.#taken) {
      if (!holds) continue;
      // A counter that was asked twice was used once.
      const own = new Map<string, number>();
      for (const { counter } of demands) {
        const used = tokens.get(counter);
        if (used === undefined || counted.has(counter)) continue;
        counted.add(counter);
        own.set(counter, used);
      }
      this.#deps.counters.settle(tenantId, id, own);
    }
    this.#deps.freed(tenantId);
  }

  /** The call is over in every respect. */
  release(): void {
    this.settle();
    this.#inFlight.release();
  }

  /** Counters that count at once are asked once for each call; those that hold are asked for the difference. */
  #beyondHeld(demands: readonly Demand[]): Demand[] {
    return demands.flatMap((demand): Demand[] => {
      const before = this.#taken.flatMap(({ demands }) =>
        demands.filter(({ counter }) => counter === demand.counter),
      );
      if (before.length === 0) return [demand];
      if (demand.kind !== 'budget' && !(demand.kind === 'window' && demand.reserved)) return [];
      const held = before.reduce((sum, each) => sum + ('amount' in each ? each.amount : 0), 0);
      return demand.amount > held ? [{ ...demand, amount: demand.amount - held }] : [];
    });
  }
}

const nothing: ReadonlyMap<string, number> = new Map();

/** What is wanted where a model name leads nowhere: the call fails at its next step. */
export const noTarget: Pick<Wanted, 'target' | 'expected'> = { target: null, expected: noUsage };
