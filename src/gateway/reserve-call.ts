import type { BudgetGate, OutputSizes, TokenUsage } from '../costs/index.ts';
import type { Admitted, Counters, Decision, Demand, LimitGate, Refused } from '../limits/index.ts';
import type { Clock } from '../platform/clock.ts';
import { createCounter } from '../platform/counter.ts';
import { AppError } from '../platform/errors.ts';
import { createGauge } from '../platform/gauge.ts';
import type { NewId } from '../platform/ids.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Resolution, Target } from '../routing/index.ts';
import { cancelledError } from './answer-of.ts';
import { expectedSize } from './expected-size.ts';
import { HeldCall, type HeldCallDependencies, noTarget, type Wanted } from './held-call.ts';
import type { InFlight } from './in-flight.ts';
import type { ModelCall } from './model-call.ts';
import type { Timeouts } from './resilience/timeouts.ts';
import { WaitingRoom } from './waiting-room.ts';

/** What decides whether a call may be made, and remembers what it came to. */
export interface Reservations {
  readonly limits: LimitGate;
  readonly counters: Counters;
  readonly budgets: BudgetGate;
  readonly outputSizes: OutputSizes;
}

export interface ReserveCallDependencies {
  readonly reservations: Reservations;
  readonly inFlight: InFlight;
  readonly timeouts: Pick<Timeouts, 'ofCall'>;
  /** What tokens would cost a tenant at a target, nano-dollars; null without a price. */
  readonly estimate: (target: Target, usage: TokenUsage, tenantId: string) => bigint | null;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly newId: NewId;
  readonly random: Pick<Random, 'fraction'>;
  readonly metrics: Metrics;
}

/** In process there is no promise, unless the call has to wait for room or for a budget to be made known. */
export type ReserveCall = (call: ModelCall, resolution: Resolution, at: Date) => HeldCall | Promise<HeldCall>;

/** Over Redis others' calls end unseen, so it is asked again after pauses that grow, milliseconds. */
const shortestPauseMs = 20;
const longestPauseMs = 200;
/** A budget that is not known after it was made known so often has been forgotten by the counters: something is wrong. */
const establishAtMost = 3;

/** One admission on its way. */
interface Asking {
  readonly call: ModelCall;
  /** Names the reservation; a new one for each time of asking. */
  id: string;
  /** The call's own, before it goes anywhere; false: for a further target, of which its caller does not know. */
  readonly first: boolean;
  readonly demands: readonly Demand[];
  readonly target: Target | null;
  established: number;
  /** When it has to stop waiting, by the monotonic clock; null while it has not had to wait. */
  untilMs: number | null;
  pauseMs: number;
}

/**
 * The reserve step: bounds of this process, then limits of the request, limits of the call and budgets, in one admission
 * that takes all or nothing. What is expected to be used is held until the call has ended.
 */
export function createReserveCall(deps: ReserveCallDependencies): ReserveCall {
  const { clock, newId, inFlight } = deps;
  const { limits, counters, budgets, outputSizes } = deps.reservations;
  const room = new WaitingRoom(clock);
  createGauge(
    deps.metrics,
    'gatehouse_calls_waiting_for_budget',
    'Model calls that wait for room that other calls hold of a hard budget',
    () => room.waiting,
  );
  const budgetRefusals = createCounter(deps.metrics, {
    name: 'gatehouse_budget_refusals_total',
    help: 'Model calls that a hard budget had no room for, or further targets of one',
  }).series({});

  const wants = (call: ModelCall, route: string | null, at: Date, target: Target): Wanted => {
    const { principal } = call.caller;
    const expected = expectedSize(call, target, route, outputSizes);
    const tokens = expected.inputTokens + expected.outputTokens;
    const ofCall = limits.demandsOfCall(principal, { route, model: target.model, tokens });
    const cost =
      call.dialect.operation === 'count_tokens' ? 0n : deps.estimate(target, expected, principal.tenantId);
    const { promptId, tags } = call.madeFor;
    const ofBudgets = budgets.demandsFor({ principal, promptId, tags, model: target.model, route, at }, cost);
    return { target, expected, demands: ofBudgets.length === 0 ? ofCall : [...ofCall, ...ofBudgets] };
  };

  const heldCalls: HeldCallDependencies = {
    counters,
    budgets,
    outputSizes,
    wants,
    freed: (tenantId) => room.freed(tenantId),
    takeMore(call, demands) {
      const asking = askingOf(call, demands, null, false);
      const taken = ({ holds }: Admitted) => ({ id: asking.id, demands, holds });
      const asked = ask(asking);
      return asked instanceof Promise ? asked.then(taken) : taken(asked);
    },
  };

  return function reserveCall(call, resolution, at) {
    const first = resolution.tiers[0]?.[0] ?? null;
    const { route } = resolution;
    const wanted = first === null ? { ...noTarget, demands: [] } : wants(call, route, at, first);
    const bounds = inFlight.reserve({
      tenantId: call.caller.principal.tenantId,
      requestBytes: call.request.bytes.length,
      totalMs: deps.timeouts.ofCall(resolution),
      cancellation: call.cancellation,
    });
    try {
      const demands = [...ofRequest(call), ...wanted.demands];
      const asking = askingOf(call, demands, first, true);
      const held = ({ states, holds }: Admitted) => {
        call.entry?.decided(demands.length === 0 ? noHeaders : limits.headers(demands, states));
        const taken = { id: asking.id, demands, holds };
        return new HeldCall(heldCalls, call, route, at, bounds, wanted, taken);
      };
      const asked = demands.length === 0 ? nothingAsked : ask(asking);
      if (!(asked instanceof Promise)) return held(asked);
      return asked.then(held).catch((error) => {
        bounds.release();
        throw error;
      });
    } catch (error) {
      bounds.release();
      throw error;
    }
  };

  /** A call on behalf of a query that was counted when it came in is not another one. */
  function ofRequest({ entry, caller }: ModelCall): readonly Demand[] {
    if (entry === null) return [];
    return limits.demandsOfQuery({ principal: caller.principal, ip: entry.ip, weight: entry.weight });
  }

  function askingOf(
    call: ModelCall,
    demands: readonly Demand[],
    target: Target | null,
    first: boolean,
  ): Asking {
    return { call, id: '', first, demands, target, established: 0, untilMs: null, pauseMs: shortestPauseMs };
  }

  function ask(asking: Asking): Admitted | Promise<Admitted> {
    const { call, demands } = asking;
    // Each time of asking has a name of its own; the first one has the call's.
    const id = asking.first && asking.id === '' ? call.id : newId();
    asking.id = id;
    const decision = counters.admit({ group: call.caller.principal.tenantId, id, demands });
    return decision instanceof Promise
      ? decision.then((decided) => goOn(asking, decided, true))
      : goOn(asking, decision, false);
  }

  function goOn(asking: Asking, decision: Decision, shared: boolean): Admitted | Promise<Admitted> {
    switch (decision.outcome) {
      case 'admitted':
        return decision;
      case 'unknown':
        return establish(asking, decision.counters);
      case 'refused':
        return refused(asking, decision, shared);
    }
  }

  async function establish(asking: Asking, unknown: readonly string[]): Promise<Admitted> {
    if (++asking.established > establishAtMost) {
      throw new AppError(
        'dependency_down',
        'What is left of a budget cannot be told just now, so no call is made on it. Try again shortly.',
        { retryAfterSeconds: 1 },
      );
    }
    await budgets.establish(asking.call.caller.principal, unknown);
    return ask(asking);
  }

  /** @throws AppError 429 or 402, unless a moment's patience may find room that others hold now. */
  function refused(asking: Asking, decision: Refused, shared: boolean): Admitted | Promise<Admitted> {
    const { call, demands } = asking;
    const demand = demands[decision.exhausted];
    const state = decision.states[decision.exhausted];
    if (!demand || !state) throw new Error('a refusal that names no demand');
    if (demand.kind !== 'budget') {
      if (asking.first) call.entry?.decided(limits.headers(demands, decision.states));
      throw limits.refusal(demand, decision);
    }
    const noRoom = budgets.refusal(demand, state);
    if (!decision.heldByOthers) {
      budgetRefusals.inc();
      throw noRoom;
    }
    return shared ? askUntilFree(asking, noRoom) : waitUntilFree(asking, noRoom);
  }

  function waitUntilFree(asking: Asking, noRoom: AppError): Promise<Admitted> {
    return withPatience(asking, noRoom, (leftMs) =>
      room.untilFreed(asking.call.caller.principal.tenantId, leftMs, asking.call.cancellation),
    );
  }

  function askUntilFree(asking: Asking, noRoom: AppError): Promise<Admitted> {
    return withPatience(asking, noRoom, (leftMs) => {
      // Those who were refused together do not come back together.
      const pauseMs = asking.pauseMs * (0.5 + deps.random.fraction() / 2);
      asking.pauseMs = Math.min(asking.pauseMs * 2, longestPauseMs);
      return room.pause(Math.min(pauseMs, leftMs), asking.call.cancellation);
    });
  }

  async function withPatience(
    asking: Asking,
    noRoom: AppError,
    wait: (leftMs: number) => Promise<void>,
  ): Promise<Admitted> {
    const { call, target } = asking;
    const { tenantId } = call.caller.principal;
    const nowMs = clock.monotonicMs();
    const untilMs = asking.untilMs ?? nowMs + budgets.patience.ms;
    asking.untilMs = untilMs;
    const leftMs = untilMs - nowMs;
    if (leftMs <= 0 || !room.enter(tenantId, budgets.patience.waiters)) {
      budgetRefusals.inc();
      throw noRoom;
    }
    await wait(leftMs).finally(() => room.leave(tenantId));
    if (call.cancellation.reason !== null) throw cancelledError(call, target?.provider.name ?? 'none');
    return ask(asking);
  }
}

const noHeaders = Object.freeze({});
const nothingAsked: Admitted = { outcome: 'admitted', states: [], holds: false };
