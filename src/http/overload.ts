import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { Clock } from '../platform/clock.ts';
import { createCounter } from '../platform/counter.ts';
import { AppError } from '../platform/errors.ts';
import { createGauge } from '../platform/gauge.ts';
import type { Metrics } from '../platform/metrics.ts';

/**
 * Who is let in last when there is too much at once: `background` work is refused first (ingest, embeddings, reports),
 * `interactive` next (people and programs that wait), `reserve` never (health, metrics, whoever administers).
 */
export type Priority = 'background' | 'interactive' | 'reserve';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Absent: by the route's permission. */
    priority?: Priority;
  }
}

export interface OverloadThresholds {
  /** Mean delay of the event loop from which background work is refused, milliseconds; four times that: interactive. */
  readonly delayMs: number;
  /** Share of the heap's limit from which background work is refused, and interactive. */
  readonly heap: { readonly background: number; readonly interactive: number };
}

export const overloadThresholds: OverloadThresholds = {
  delayMs: 150,
  heap: { background: 0.85, interactive: 0.93 },
};

/** What is seen at one look. */
export interface Strain {
  readonly delayMs: number;
  /** Used, of the limit. */
  readonly heap: number;
}

/** 0: all are let in; 1: no background work; 2: the reserve only. */
export type Level = 0 | 1 | 2;

const lookEveryMs = 250;
/** Looks in a row that must be calm before a level is left, so that it does not come and go. */
const calmLooks = 8;
/** A level is left when the strain is below this share of what reached it. */
const calmShare = 0.5;
/** Looks in a row before a level is reached: one long pause, as for a collection of garbage, is no overload. */
const strainedLooks = 2;
const resolutionMs = 10;
const retryAfterSeconds: Readonly<Record<1 | 2, number>> = { 1: 5, 2: 2 };

/**
 * The level after each look. It rises when the strain has lasted for two looks, and falls a step at a time after two
 * seconds of calm.
 */
export function createLevel(thresholds: OverloadThresholds) {
  let level: Level = 0;
  let strained = 0;
  let calm = 0;
  const reached = ({ delayMs, heap }: Strain, share: number): Level => {
    if (delayMs >= thresholds.delayMs * 4 * share || heap >= thresholds.heap.interactive) return 2;
    return delayMs >= thresholds.delayMs * share || heap >= thresholds.heap.background ? 1 : 0;
  };
  return (strain: Strain): Level => {
    const up = reached(strain, 1);
    strained = up > level ? strained + 1 : 0;
    calm = reached(strain, calmShare) < level ? calm + 1 : 0;
    if (strained >= strainedLooks) {
      level = up;
      strained = 0;
    } else if (calm >= calmLooks) {
      level = level === 2 ? 1 : 0;
      calm = 0;
    }
    return level;
  };
}

export interface Overload {
  /** @throws AppError `overloaded` when requests of this priority are refused now. */
  admit(priority: Priority | undefined): void;
  start(): void;
  stop(): Promise<void>;
}

/** Refuses work before there is too much of it (HTTP-8), by how late the event loop is and how full the heap. */
export function createOverload(deps: {
  readonly thresholds: OverloadThresholds;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly metrics: Metrics;
}): Overload {
  const next = createLevel(deps.thresholds);
  let level: Level = 0;
  let strain: Strain = { delayMs: 0, heap: 0 };
  let delays: ReturnType<typeof monitorEventLoopDelay> | null = null;
  const stopping = new AbortController();
  let looking: Promise<void> = Promise.resolve();
  const shed = createCounter(deps.metrics, {
    name: 'http_shed_total',
    help: 'Requests refused because there was too much at once, by priority',
  });
  const counted = {
    background: shed.series({ priority: 'background' }),
    interactive: shed.series({ priority: 'interactive' }),
  };
  const gauge = (name: string, help: string, value: () => number) =>
    createGauge(deps.metrics, name, help, value);
  gauge('http_overload_level', '0: all are let in; 1: no background work; 2: the reserve only', () => level);
  gauge(
    'event_loop_delay_seconds',
    'Mean delay of the event loop at the last look',
    () => strain.delayMs / 1000,
  );
  gauge('heap_used_ratio', "Share of the heap's limit that is used", () => strain.heap);

  const look = () => {
    if (delays === null) return;
    // The histogram holds whole intervals; it is empty when the loop was held for all of the time.
    const meanMs = delays.count === 0 ? lookEveryMs : delays.mean / 1e6 - resolutionMs;
    delays.reset();
    const { used_heap_size, heap_size_limit } = getHeapStatistics();
    strain = { delayMs: Math.max(0, meanMs), heap: used_heap_size / heap_size_limit };
    level = next(strain);
  };

  return {
    admit(priority = 'interactive') {
      if (level === 0 || priority === 'reserve') return;
      if (level === 1 && priority === 'interactive') return;
      counted[priority].inc();
      throw new AppError(
        'overloaded',
        'There is too much to do at once, so this is not begun. Nothing was done; try again shortly.',
        { retryAfterSeconds: retryAfterSeconds[level] },
      );
    },
    start() {
      delays = monitorEventLoopDelay({ resolution: resolutionMs });
      delays.enable();
      looking = (async () => {
        while (!stopping.signal.aborted) {
          await deps.clock.sleep(lookEveryMs, stopping.signal).catch(() => {});
          look();
        }
      })();
    },
    async stop() {
      stopping.abort();
      await looking;
      delays?.disable();
    },
  };
}

const backgroundPermissions: readonly string[] = ['documents:write', 'costs:read', 'audit:export'];
const reservePermissions: readonly string[] = ['health:read', 'metrics:read', 'audit:read', 'limits:read'];

/** The priority of a route that declares none. @param permission null: it is public. */
export function priorityOf(url: string, permission: string | null): Priority {
  if (url === '/v1/embeddings') return 'background';
  if (permission === null)
    return url.startsWith('/health') || url.startsWith('/metrics') ? 'reserve' : 'interactive';
  if (permission.endsWith(':manage') || reservePermissions.includes(permission)) return 'reserve';
  return backgroundPermissions.includes(permission) ? 'background' : 'interactive';
}
