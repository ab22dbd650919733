import type { Costs } from '../costs/index.ts';
import type { Routes } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';
import type { NewId } from '../platform/ids.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Routing, TargetHealth } from '../routing/index.ts';
import { createCallMetrics } from './call-metrics.ts';
import { type CallModelDependencies, createCallModel } from './call-model.ts';
import { gatewayRoutes } from './gateway.routes.ts';
import type { GatewayHooks } from './hooks.ts';
import { heartbeatMs, type OpenReplies } from './http-reply.ts';
import { createInFlight, defaultInFlightBounds, type InFlightBounds } from './in-flight.ts';
import { createInProcessModels, type InProcessModels } from './in-process.ts';
import { createUpstream } from './providers/upstream.ts';
import { createReserveCall, type Reservations } from './reserve-call.ts';
import { Deadlines } from './resilience/deadlines.ts';
import { createResilienceMetrics } from './resilience/resilience-metrics.ts';
import { createRetryBudget, defaultRetryBudget, type RetryBudgetRules } from './resilience/retry-budget.ts';
import { createTimeouts, defaultTimeouts, type GatewayTimeouts } from './resilience/timeouts.ts';
import { createTryTargets } from './try-targets.ts';

export interface GatewayDependencies {
  readonly routing: Routing;
  /** What is known of targets; routing chooses by it, too. */
  readonly health: TargetHealth;
  readonly costs: Pick<Costs, 'canRecord' | 'estimate' | 'record'>;
  /** Limits and budgets that calls must fit. */
  readonly reservations: Reservations;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: Pick<Random, 'fraction'>;
  readonly metrics: Metrics;
  /** The event that ends a stream with an error, as `http/` shapes it for each dialect. */
  readonly describeError: CallModelDependencies['describeError'];
  readonly hooks?: GatewayHooks;
  readonly timeouts?: Partial<GatewayTimeouts>;
  readonly bounds?: Partial<InFlightBounds>;
  readonly retryBudget?: Partial<RetryBudgetRules>;
  /** Told of each step of each call; for the test that proves that every route takes them all. */
  readonly onStep?: CallModelDependencies['onStep'];
}

export interface Gateway {
  /** Mounted under /v1. */
  readonly routes: Routes;
  /** The door for what answers questions in this process: the same steps, without a socket. */
  readonly models: InProcessModels;
  start(): void;
  /** Ends the calls over HTTP that still go on, with an error that their clients can read. */
  endReplies(): void;
  /** Ends calls that still go on and closes the connections to providers. */
  stop(): Promise<void>;
}

/** The model path: one function that every call takes, with doors to it over HTTP and in process. */
export function createGateway(deps: GatewayDependencies): Gateway {
  const { clock, newId, routing, costs } = deps;
  const defaults = { ...defaultTimeouts, ...deps.timeouts };
  const timeouts = createTimeouts(defaults);
  const shortestMs = Math.min(defaults.firstTokenMs, defaults.idleMs, defaults.totalMs, heartbeatMs);
  const lookEveryMs = Math.max(10, Math.min(250, shortestMs / 4));
  const deadlines = new Deadlines(lookEveryMs);
  const inFlight = createInFlight({ bounds: { ...defaultInFlightBounds, ...deps.bounds }, clock });
  const replies: OpenReplies = new Set();
  const upstream = createUpstream({ ...defaults, firstByteMs: defaults.firstTokenMs }, clock);
  const tryTargets = createTryTargets({
    upstream,
    deadlines,
    timeouts,
    nowMs: clock.monotonicMs,
    wallMs: () => clock.now().getTime(),
    health: deps.health,
    budget: createRetryBudget({ ...defaultRetryBudget, ...deps.retryBudget }, clock),
    metrics: createResilienceMetrics(deps.metrics),
    clock,
    random: deps.random,
  });
  const callModel = createCallModel({
    routing,
    hooks: deps.hooks ?? {},
    reserveCall: createReserveCall({
      reservations: deps.reservations,
      inFlight,
      timeouts,
      estimate: costs.estimate,
      clock,
      newId,
      random: deps.random,
      metrics: deps.metrics,
    }),
    tryTargets,
    accounts: { clock, newId, record: costs.record, ...createCallMetrics(deps.metrics, inFlight) },
    canRecord: costs.canRecord,
    describeError: deps.describeError,
    ...(deps.onStep ? { onStep: deps.onStep } : {}),
  });
  const stopping = new AbortController();
  let watch: Promise<void> = Promise.resolve();

  /** One look at all calls a few times a second, in place of timers for each: so late may a deadline be noticed. */
  const watchCalls = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await clock.sleep(lookEveryMs, stopping.signal).catch(() => {});
      inFlight.endOverdue();
      deadlines.look(clock.monotonicMs());
      for (const reply of replies) reply.beat();
    }
  };

  return {
    routes: gatewayRoutes({
      callModel,
      routing,
      replies,
      clock,
      newId,
      sendFeedback: upstream.sendFeedback,
    }),
    models: createInProcessModels({ callModel, newId }),
    start() {
      watch = watchCalls();
    },
    endReplies() {
      for (const reply of replies) reply.stop();
    },
    async stop() {
      stopping.abort();
      inFlight.endAll('stopping');
      await upstream.stop();
      await watch;
    },
  };
}
