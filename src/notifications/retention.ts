import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { DeliveriesStore } from './deliveries.store.ts';

const dayMs = 24 * 3_600_000;
/** Events stay longer than deliveries, so that what was told is not told again. */
const ages = { deliveredMs: 30 * dayMs, deadMs: 90 * dayMs, eventMs: 400 * dayMs };
const everyMs = 3_600_000;
const batch = 1_000;
/** At once; what is left waits for the next hour. */
const maxBatches = 100;

export interface RetentionDependencies {
  readonly store: Pick<DeliveriesStore, 'forget'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Log;
}

/** Forgets deliveries and events that are old, each hour, in batches that hold nobody up. */
export function createRetention({ store, clock, log }: RetentionDependencies) {
  const stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  const forgetOld = async () => {
    for (let n = 0; n < maxBatches && !stopping.signal.aborted; n++) {
      if ((await store.forget(ages, batch)) < batch) return;
    }
  };
  const run = async () => {
    while (!stopping.signal.aborted) {
      await forgetOld().catch((error) =>
        log.warn({ err: error }, 'old deliveries were not cleared away; trying again later'),
      );
      await clock.sleep(everyMs, stopping.signal).catch(() => {});
    }
  };

  return {
    start() {
      loop = run();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}
