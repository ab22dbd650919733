import type { Costs } from '../costs/index.ts';
import type { Routes } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';
import type { NewId } from '../platform/ids.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Routing } from '../routing/index.ts';
import { createCallMetrics } from './call-metrics.ts';
import { type CallModelDependencies, createCallModel } from './call-model.ts';
import { gatewayRoutes } from './gateway.routes.ts';
import type { GatewayHooks } from './hooks.ts';
import { heartbeatMs, type OpenStreams } from './http-reply.ts';
import { createInFlight, defaultInFlightBounds, type InFlightBounds } from './in-flight.ts';
import { createInProcessModels, type InProcessModels } from './in-process.ts';
import { createUpstream } from './providers/upstream.ts';
import type { UpstreamTimeouts } from './upstream.ts';

export interface GatewayTimeouts extends UpstreamTimeouts {
  /** A whole call, from its reservation to its last byte. */
  readonly totalMs: number;
}

export const defaultTimeouts: GatewayTimeouts = {
  connectMs: 5_000,
  firstByteMs: 60_000,
  idleMs: 60_000,
  totalMs: 600_000,
};

export interface GatewayDependencies {
  readonly routing: Routing;
  readonly costs: Pick<Costs, 'canRecord' | 'estimate' | 'record'>;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly metrics: Metrics;
  /** The event that ends a stream with an error, as `http/` shapes it for each dialect. */
  readonly describeError: CallModelDependencies['describeError'];
  readonly hooks?: GatewayHooks;
  readonly timeouts?: Partial<GatewayTimeouts>;
  readonly bounds?: Partial<InFlightBounds>;
  /** Told of each step of each call; for the test that proves that every route takes them all. */
  readonly onStep?: CallModelDependencies['onStep'];
}

export interface Gateway {
  /** Mounted under /v1. */
  readonly routes: Routes;
  /** The door for what answers questions in this process: the same steps, without a socket. */
  readonly models: InProcessModels;
  start(): void;
  /** Ends calls that still go on and closes the connections to providers. */
  stop(): Promise<void>;
}

/** The model path: one function that every call takes, with doors to it over HTTP and in process. */
export function createGateway(deps: GatewayDependencies): Gateway {
  const { clock, newId, routing, costs } = deps;
  const timeouts = { ...defaultTimeouts, ...deps.timeouts };
  const inFlight = createInFlight({
    bounds: { ...defaultInFlightBounds, ...deps.bounds },
    totalMs: timeouts.totalMs,
    clock,
  });
  const streams: OpenStreams = new Set();
  const upstream = createUpstream(timeouts, clock);
  const callModel = createCallModel({
    routing,
    hooks: deps.hooks ?? {},
    inFlight,
    upstream,
    accounts: { clock, record: costs.record, observe: createCallMetrics(deps.metrics, inFlight) },
    canRecord: costs.canRecord,
    estimate: costs.estimate,
    describeError: deps.describeError,
    ...(deps.onStep ? { onStep: deps.onStep } : {}),
  });
  const stopping = new AbortController();
  let watch: Promise<void> = Promise.resolve();

  /** One look at all calls now and then, in place of a timer for each. */
  const watchCalls = async (): Promise<void> => {
    const intervalMs = Math.max(10, Math.min(1_000, timeouts.totalMs / 4, heartbeatMs / 4));
    while (!stopping.signal.aborted) {
      await clock.sleep(intervalMs, stopping.signal).catch(() => {});
      inFlight.endOverdue();
      for (const stream of streams) stream.beat();
    }
  };

  return {
    routes: gatewayRoutes({ callModel, routing, streams, clock, newId }),
    models: createInProcessModels({ callModel, newId }),
    start() {
      watch = watchCalls();
    },
    async stop() {
      stopping.abort();
      inFlight.endAll('stopping');
      await upstream.stop();
      await watch;
    },
  };
}
