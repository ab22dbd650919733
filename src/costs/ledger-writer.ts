import { appendFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { Segment, Spool } from './spool.ts';

export interface LedgerWriter {
  start(): void;
  /** Tells that a row was appended to the spool. */
  wake(): void;
  /**
   * Resolves when every row appended before this call, and every row that an earlier process left, is in the database, or
   * after `timeoutMs` at the latest.
   * @returns whether they are.
   */
  flush(timeoutMs: number): Promise<boolean>;
  /** Writes what is left, for `timeoutMs` at most; what then remains waits in the spool for the next start. */
  stop(timeoutMs: number): Promise<void>;
}

export interface LedgerWriterDependencies {
  readonly spool: Spool;
  /** Adds rows to the ledger: all or none; a row that is there already is left alone. */
  readonly add: (rows: readonly string[]) => Promise<void>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Log;
  /** Where rows go that the database will never take. */
  readonly rejectedDirectory: string;
  readonly countRejected: () => void;
}

/** Rows wait this long for others, so that one statement writes many. */
const batchWindowMs = 50;
const maxBatchRows = 500;
const firstRetryMs = 100;
const maxRetryMs = 5_000;
/** With the database away, written rows are forced to the disk at least this often. */
const syncIntervalMs = 1_000;
const maxRejectedBytes = 64 * 1024 * 1024;

/** Moves rows from the spool to the ledger in batches, one batch at a time, for as long as the process lives. */
export function createLedgerWriter(deps: LedgerWriterDependencies): LedgerWriter {
  const { spool, clock, log } = deps;
  const stopping = new AbortController();
  let wakeUp: (() => void) | null = null;
  let urgent = false;
  let waiters: ((written: boolean) => void)[] = [];
  let loop: Promise<void> = Promise.resolve();

  const addOneByOne = async (rows: readonly string[]): Promise<void> => {
    for (const row of rows) {
      try {
        await deps.add([row]);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        await addBare(row, error);
      }
    }
  };
  /** The part that a provider wrote freely is the likeliest to be what PostgreSQL cannot hold. */
  const addBare = async (row: string, why: unknown): Promise<void> => {
    const bare = JSON.stringify({ ...JSON.parse(row), raw_usage: null, response_model: null });
    try {
      await deps.add([bare]);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      setAside(row, why);
    }
  };
  const setAside = (row: string, why: unknown): void => {
    deps.countRejected();
    const reason = why instanceof Error ? why.message : String(why);
    log.error({ err: why }, 'a ledger row was refused by the database and set aside');
    const path = join(deps.rejectedDirectory, 'rejected-rows.log');
    try {
      if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > maxRejectedBytes) return;
      appendFileSync(path, `{"reason":${JSON.stringify(reason)},"row":${row}}\n`, { mode: 0o600 });
    } catch (error) {
      log.error({ err: error, row }, 'a refused ledger row could not be set aside either');
    }
  };
  const addBatch = async (rows: readonly string[]): Promise<void> => {
    for (let at = 0; at < rows.length; at += maxBatchRows) {
      const batch = rows.slice(at, at + maxBatchRows);
      try {
        await deps.add(batch);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        await addOneByOne(batch);
      }
    }
  };
  const addSegment = async (segment: Segment): Promise<void> => {
    try {
      const { rows, torn } = await spool.take(segment);
      if (torn > 0) log.warn({ torn }, 'the spool held rows that were not written to their end');
      await addBatch(rows);
    } catch (error) {
      spool.putBack(segment);
      throw error;
    }
    await spool.done(segment);
  };
  const addAll = async (): Promise<void> => {
    for (const segment of spool.segments()) await addSegment(segment);
    const refused = [...spool.refused()];
    if (refused.length === 0) return;
    await addBatch(refused);
    spool.forgetRefused(refused.length);
  };

  /** Tries until everything is written; gives up only when stopping. @returns whether everything is written. */
  const drain = async (): Promise<boolean> => {
    for (let retryMs = firstRetryMs; ; retryMs = Math.min(retryMs * 2, maxRetryMs)) {
      try {
        await addAll();
        return true;
      } catch (error) {
        log.warn({ err: error, retryMs }, 'ledger rows could not be written; they stay in the spool');
        if (stopping.signal.aborted) return false;
        await waitSyncing(retryMs);
      }
    }
  };
  const waitSyncing = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0 && !stopping.signal.aborted; left -= syncIntervalMs) {
      try {
        spool.sync();
      } catch (error) {
        log.warn({ err: error }, 'the spool could not be forced to disk');
      }
      await clock.sleep(Math.min(left, syncIntervalMs), stopping.signal).catch(() => {});
    }
  };

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      if (spool.segments().length === 0 && spool.refused().length === 0 && !urgent) {
        await new Promise<void>((resolve) => {
          wakeUp = resolve;
        });
        wakeUp = null;
      }
      if (!urgent && !stopping.signal.aborted) await pause();
      urgent = false;
      const satisfied = waiters;
      waiters = [];
      const written = await drain();
      for (const resolve of satisfied) resolve(written);
    }
  };
  /** The batch window, cut short by someone who waits. */
  const pause = async (): Promise<void> => {
    const cut = new AbortController();
    const onWake = () => {
      if (urgent) cut.abort();
    };
    wakeUp = onWake;
    await clock.sleep(batchWindowMs, cut.signal).catch(() => {});
    wakeUp = null;
  };

  return {
    start() {
      loop = run();
    },
    wake() {
      wakeUp?.();
    },
    async flush(timeoutMs) {
      const written = new Promise<boolean>((resolve) => waiters.push(resolve));
      urgent = true;
      wakeUp?.();
      const giveUp = new AbortController();
      const timeout = clock.sleep(timeoutMs, giveUp.signal).catch(() => {});
      const inTime = await Promise.race([written, timeout]);
      giveUp.abort();
      return inTime === true;
    },
    async stop(timeoutMs) {
      stopping.abort();
      wakeUp?.();
      const giveUp = new AbortController();
      const last = loop.then(drain);
      await Promise.race([last, clock.sleep(timeoutMs, giveUp.signal).catch(() => {})]);
      giveUp.abort();
      spool.close();
    },
  };
}

/**
 * Whether PostgreSQL refused the row itself (class 22, data, or 23, integrity: its tenant is gone, say), so that trying
 * again can never help. Everything else (connection, restart, a schema not yet migrated) may pass.
 */
function isRefusal(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^2[23][0-9A-Z]{3}$/.test(code);
}
