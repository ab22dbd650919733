import { Counter } from 'prom-client';
import type { Clock } from '../platform/clock.ts';
import type { NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import type { Metrics } from '../platform/metrics.ts';
import { type AttemptDependencies, attempt, type Verdict } from './attempt.ts';
import type { ClaimedDelivery, DeliveriesStore } from './deliveries.store.ts';

export interface DeliveringBounds {
  /** Tries at once in this process, in all and for one channel and tenant, so that a slow one leaves room to others. */
  readonly atOnce: number;
  readonly perChannel: number;
  readonly perTenant: number;
  /** How long a claim holds; far more than a try may take. */
  readonly claimMs: number;
  /** A look at the queue is never further away than this, should news of it get lost. */
  readonly lookEveryMs: number;
  /** How long tries under way may take to end when the process stops. */
  readonly stopMs: number;
}

export const usualBounds: DeliveringBounds = {
  atOnce: 32,
  perChannel: 2,
  perTenant: 8,
  claimMs: 30_000,
  lookEveryMs: 15_000,
  stopMs: 5_000,
};

export interface DeliveringDependencies extends AttemptDependencies {
  readonly store: DeliveriesStore;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Calls back whenever a delivery was queued anywhere, and after each gap in hearing of it. */
  readonly subscribe: (onChange: () => void, onGap: () => void) => void;
  readonly bounds?: DeliveringBounds;
}

/** After a failure of the database. */
const tryAgainMs = 1_000;
const settleTries = 3;

/**
 * Works off the queue of deliveries. Every instance does; the database gives each delivery to one of them at a time. What a
 * killed process had begun is taken up when its claim runs out, so each delivery arrives at least once.
 */
export function createDelivering(deps: DeliveringDependencies) {
  const { store, clock, log } = deps;
  const bounds = deps.bounds ?? usualBounds;
  const ends = new Counter({
    name: 'notification_deliveries_total',
    help: 'Tries to deliver a notification, by kind of channel and how they ended',
    labelNames: ['kind', 'result'],
    registers: [deps.metrics],
  });
  const stopping = new AbortController();
  const cutShort = new AbortController();
  const inFlight = new Map<ClaimedDelivery, Promise<void>>();
  let loop: Promise<void> = Promise.resolve();
  let woken = false;
  let resting: AbortController | null = null;

  const wake = () => {
    woken = true;
    resting?.abort();
  };
  deps.subscribe(wake, wake);

  const rest = async (ms: number) => {
    resting = new AbortController();
    const until = AbortSignal.any([resting.signal, stopping.signal]);
    if (!woken) await clock.sleep(ms, until).catch(() => {});
    resting = null;
  };

  /** @returns how long there is nothing to do; 0 when there may be more to be claimed. */
  const look = async (): Promise<number> => {
    const room = bounds.atOnce - inFlight.size;
    if (room > 0) {
      const flying = [...inFlight.keys()];
      const claimedAtMs = clock.monotonicMs();
      const claimed = await store.claim(
        {
          claim: deps.newId(),
          limit: room,
          perChannel: bounds.perChannel,
          perTenant: bounds.perTenant,
          forMs: bounds.claimMs,
        },
        {
          channels: flying.map(({ channel_id }) => channel_id),
          tenants: flying.map(({ tenant_id }) => tenant_id),
        },
      );
      for (const delivery of claimed) begin(delivery, claimedAtMs);
      if (claimed.length > 0) return 0;
    }
    return Math.min((await store.nextDueInMs()) ?? bounds.lookEveryMs, bounds.lookEveryMs);
  };

  const run = async () => {
    while (!stopping.signal.aborted) {
      woken = false;
      const idleMs = await look().catch((error) => {
        log.warn({ err: error }, 'deliveries could not be looked for; trying again shortly');
        return tryAgainMs;
      });
      if (idleMs > 0) await rest(idleMs);
    }
  };

  const begin = (delivery: ClaimedDelivery, claimedAtMs: number) => {
    // A process that was held up must not send what another one has by now.
    if (clock.monotonicMs() - claimedAtMs > bounds.claimMs / 2) return;
    const work = attempt(deps, delivery, cutShort.signal)
      .then((verdict) => settle(delivery, verdict))
      .catch((error) =>
        log.warn({ err: error, delivery: delivery.delivery_id }, 'a delivery will be made a second time'),
      )
      .finally(() => {
        inFlight.delete(delivery);
        wake();
      });
    inFlight.set(delivery, work);
  };

  const settle = async (delivery: ClaimedDelivery, verdict: Verdict): Promise<void> => {
    for (let tries = 1; ; tries++) {
      try {
        const result = await record(delivery, verdict);
        ends.inc({ kind: delivery.channel_kind, result });
        if (result === 'dead') {
          const { delivery_id, channel_id, tenant_id } = delivery;
          log.warn(
            { delivery: delivery_id, channel: channel_id, tenant: tenant_id },
            'a delivery was given up',
          );
        }
        return;
      } catch (error) {
        if (tries === settleTries) throw error;
        await clock.sleep(tryAgainMs, cutShort.signal);
      }
    }
  };

  const record = async (
    delivery: ClaimedDelivery,
    verdict: Verdict,
  ): Promise<'delivered' | 'failed' | 'dead'> => {
    switch (verdict.result) {
      case 'delivered':
        await store.delivered(delivery, verdict.status);
        return 'delivered';
      case 'gone': {
        const reason = `the receiver answered with status ${verdict.status}: it is gone for good`;
        if (await store.gone(delivery, verdict.status, reason)) return 'dead';
        await store.failed(delivery, { status: verdict.status, error: reason, nextInMs: tryAgainMs }, null);
        return 'failed';
      }
      default:
        await store.failed(delivery, verdict, verdict.heldBackMs);
        return verdict.result;
    }
  };

  return {
    start() {
      loop = run();
    },
    /** Takes up nothing new; tries under way may end, and what is cut short is made again elsewhere or later. */
    async stop() {
      stopping.abort();
      await loop;
      const ended = new AbortController();
      const all = Promise.all(inFlight.values()).finally(() => ended.abort());
      await clock.sleep(bounds.stopMs, ended.signal).catch(() => {});
      cutShort.abort();
      await all;
    },
  };
}
