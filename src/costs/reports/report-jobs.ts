import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { Alerts } from './alerts.service.ts';
import type { RollupStore } from './rollup.store.ts';

export interface ReportJobsDependencies {
  readonly rollups: RollupStore;
  readonly alerts: Pick<Alerts, 'lookAtDue'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Reports read what is not rolled up yet row by row, so it should be little. */
const rollUpEveryMs = 5_000;
const lookEveryMs = 15_000;
/** One transaction's worth: a second or two of work. */
const rowsAtOnce = 10_000;
/** This month and the one before are whole in every time zone, with a week to spare. */
const keptHoursDays = 70;
const dayMs = 86_400_000;

/**
 * Keeps rollups close behind the ledger and looks for alerts in what was added. Every instance runs it; the horizon's
 * row lock lets one at a time do the work, and whoever finds it locked waits for the next round.
 */
export function createReportJobs({ rollups, alerts, clock, log }: ReportJobsDependencies) {
  const stopping = new AbortController();
  let running: Promise<unknown> = Promise.resolve();

  /** @returns whether it worked; what failed is tried again in the next round. */
  const tried = async (what: string, work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      if (!stopping.signal.aborted) log.warn({ err: error }, `${what} failed and is tried again`);
      return false;
    }
  };
  const every = async (ms: number, what: string, work: () => Promise<unknown>): Promise<void> => {
    while (!stopping.signal.aborted) {
      await tried(what, work);
      await clock.sleep(ms, stopping.signal).catch(() => {});
    }
  };
  const rollUp = async (): Promise<void> => {
    const today = Math.floor(clock.now().getTime() / dayMs) * dayMs;
    const since = new Date(today - keptHoursDays * dayMs);
    while (!stopping.signal.aborted && (await rollups.keepHoursSince(since)) === 'more');
    while (!stopping.signal.aborted && (await rollups.rollUp(rowsAtOnce)) === 'more');
  };
  const begin = async (): Promise<void> => {
    const check = async () => {
      if (await rollups.renumberAfterRestore()) {
        log.warn({}, 'the database was restored into another server: rollups of costs are made anew');
      }
    };
    while (!stopping.signal.aborted && !(await tried('looking at the horizon of the rollups', check))) {
      await clock.sleep(rollUpEveryMs, stopping.signal).catch(() => {});
    }
    await every(rollUpEveryMs, 'rolling up the ledger', rollUp);
  };

  return {
    start(): void {
      running = Promise.all([
        begin(),
        every(lookEveryMs, 'looking for cost alerts', () => alerts.lookAtDue(stopping.signal)),
      ]);
    },
    /** Resolves when the batch under way is over; what is left is taken at the next start. */
    async stop(): Promise<void> {
      stopping.abort();
      await running;
    },
  };
}
