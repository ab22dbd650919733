import { join } from 'node:path';
import { Counter } from 'prom-client';
import type { Clock } from '../platform/clock.ts';
import type { DatabaseScope } from '../platform/database/database.ts';
import { AppError } from '../platform/errors.ts';
import { createGauge } from '../platform/gauge.ts';
import type { NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { PageCursor } from '../platform/page.ts';
import type { LedgerStore } from './ledger.store.ts';
import { encodeLedgerEntry, type LedgerEntry } from './ledger-entry.ts';
import { createLedgerWriter } from './ledger-writer.ts';
import type { PriceCatalogue, PricedTarget } from './price-catalogue.ts';
import { reportPeriod } from './reports/report-period.ts';
import { createSpool } from './spool.ts';
import type { TokenUsage } from './usage.ts';

export interface CostsDependencies {
  readonly store: LedgerStore;
  readonly catalogue: PriceCatalogue;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly metrics: Metrics;
  readonly log: Log;
  /** This process, as its rows name it: one id for as long as it lives. */
  readonly writerId?: string;
  /** The server's data directory, which this process has locked: the spool lives in `spool/` below it. */
  readonly dataDir: string;
  /** Told of each row as it is recorded, before anybody else learns what the call came to. */
  readonly recorded?: (row: RecordedRow) => void;
  /** Bytes of rows that may wait on disk before no more calls are taken; default 1 GiB, about a million rows. */
  readonly spoolMaxBytes?: number;
}

/** What a call came to. */
export interface Charge {
  /** Nano-dollars; null exactly when `unpriced`. */
  readonly costNanoUsd: bigint | null;
  readonly pricing: 'priced' | 'unpriced';
}

/** A call that has ended, before its price is looked up. */
export type EndedCall = Omit<
  LedgerEntry,
  'price' | 'priceVersion' | 'pricing' | 'costNanoUsd' | 'writer' | 'writerSeq'
>;

/** A row on its way to the ledger. */
export interface RecordedRow {
  readonly call: EndedCall;
  /** Null: its model has no price. */
  readonly costNanoUsd: bigint | null;
  /** Resolves when the row survives kill -9 of this process. */
  readonly written: Promise<void>;
}

export type Costs = ReturnType<typeof createCosts>;

const flushTimeoutMs = 2_000;
const stopTimeoutMs = 10_000;

export function createCosts(deps: CostsDependencies) {
  const { store, catalogue, clock, log } = deps;
  const directory = join(deps.dataDir, 'spool');
  const writerId = deps.writerId ?? deps.newId();
  let written = 0;
  const spool = createSpool({
    directory,
    processName: writerId,
    log,
    ...(deps.spoolMaxBytes === undefined ? {} : { maxBytes: deps.spoolMaxBytes }),
  });
  const rejected = new Counter({
    name: 'gatehouse_ledger_rows_rejected_total',
    help: 'Ledger rows that the database refused and that were set aside in the spool directory',
    registers: [deps.metrics],
  });
  createGauge(
    deps.metrics,
    'gatehouse_spool_rows',
    'Ledger rows on disk that are not in the database yet',
    () => spool.waiting().rows,
  );
  createGauge(
    deps.metrics,
    'gatehouse_spool_bytes',
    'Size of the ledger rows on disk that are not in the database yet',
    () => spool.waiting().bytes,
  );
  const writer = createLedgerWriter({
    spool,
    add: store.add,
    clock,
    log,
    rejectedDirectory: directory,
    countRejected: () => rejected.inc(),
  });
  const flush = () => writer.flush(flushTimeoutMs);

  return {
    /** Takes over rows that an earlier process could not write. @throws AppError `data_directory`. */
    start(): void {
      try {
        spool.open();
      } catch (cause) {
        throw new AppError(
          'data_directory',
          `The spool ${directory} cannot be written. Check who owns it and whether the disk is full.`,
          { cause },
        );
      }
      writer.start();
    },
    /** Writes what is left; call it when no call can end any more and before the database stops. */
    stop: () => writer.stop(stopTimeoutMs),

    /** False when a call's row could not be kept safe; then no call may be started. */
    canRecord: (): boolean => spool.hasRoom(),

    /** What these tokens would cost at that target now; null when it has no price. Used to hold budget for a call. */
    estimate: (target: PricedTarget, usage: TokenUsage, tenantId?: string): bigint | null =>
      catalogue.priceOf(target, clock.now(), tenantId)?.costOf(usage) ?? null,

    /**
     * Records a call that has ended, or an attempt of it that was not its last. Call it exactly once for each.
     * @param target null: no provider was asked, so it is free. Counting tokens is free, too.
     * @returns what the call came to, and when its row survives kill -9 of this process, which is within this turn of the
     *   event loop: the last byte of the reply must not leave before.
     */
    record(call: EndedCall, target: PricedTarget | null): Charge & { readonly written: Promise<void> } {
      const free = target === null || call.operation === 'count_tokens';
      const found = free ? null : catalogue.priceOf(target, call.at, call.tenantId);
      const costNanoUsd = free ? 0n : (found?.costOf(call.usage) ?? null);
      const pricing = free ? 'free' : costNanoUsd === null ? 'unpriced' : 'priced';
      const price = pricing === 'priced' ? found : null;
      const priceVersion = found?.version ?? catalogue.version;
      const entry = { ...call, price, pricing, costNanoUsd, priceVersion, writer: writerId } as const;
      const kept = spool.append(encodeLedgerEntry({ ...entry, writerSeq: ++written }));
      writer.wake();
      deps.recorded?.({ call, costNanoUsd, written: kept });
      return { costNanoUsd, pricing: costNanoUsd === null ? 'unpriced' : 'priced', written: kept };
    },

    /** Rows that this process has recorded so far: the `writer_seq` of the last one. */
    rowsRecorded: (): number => written,

    /**
     * Resolves when what was recorded before, by processes killed before us too, can be read from the ledger, or after two
     * seconds. @returns whether it can.
     */
    flush,

    /**
     * @param given bounds in time, `from` included and `to` not, a day as the tenant's time zone has it; default: this
     *   month there.
     * @throws AppError `invalid` when `to` is not after `from`, or they are more than 366 days apart.
     */
    async summary(
      scope: DatabaseScope & { readonly tenant?: { readonly timeZone: string } },
      given: { from: string | Date | undefined; to: string | Date | undefined },
    ) {
      const { from, to } = reportPeriod(given, scope.tenant?.timeZone ?? 'UTC', clock.now());
      await flush();
      return { from, to, ...(await store.sums(scope, from, to)) };
    },

    /**
     * A page of the tenant's calls of a span of time, newest first, that fit the filter.
     * @param given bounds in time as `summary` takes them; default: this month.
     * @throws AppError `invalid` when `to` is not after `from`, or they are more than 366 days apart.
     */
    async callsWithin(
      scope: DatabaseScope & { readonly tenant: { readonly timeZone: string } },
      given: { from: string | undefined; to: string | undefined },
      page: Parameters<LedgerStore['page']>[1],
    ) {
      const { from, to } = reportPeriod(given, scope.tenant.timeZone, clock.now());
      await flush();
      const rows = await store.page(scope, { ...page, filter: { ...page.filter, from, to } });
      return { from, to, rows };
    },

    /** A page of the tenant's calls, newest first; with each of their attempts, if so wished. */
    async calls(
      scope: DatabaseScope,
      page: {
        limit: number;
        after: PageCursor | null;
        correlationId: string | null;
        earlierAttempts: boolean;
      },
    ) {
      await flush();
      return store.page(scope, page);
    },
  };
}
