import { Counter, Gauge, Histogram } from 'prom-client';
import type { Clock } from '../platform/clock.ts';
import type { Metrics } from '../platform/metrics.ts';
import { unfinishedStatuses } from './knowledge-tables.ts';

export interface IngestMetrics {
  /** Measures one stage of reading in a document. */
  timed<T>(stage: 'parse' | 'store' | 'index', work: () => Promise<T>): Promise<T>;
  ended(outcome: 'ready' | 'failed'): void;
}

/** @param countUnfinished how many documents are on their way, by status; asked at each scrape. */
export function createIngestMetrics(
  registry: Metrics,
  clock: Pick<Clock, 'monotonicMs'>,
  countUnfinished: () => Promise<readonly { status: string; count: bigint }[]>,
): IngestMetrics {
  const ended = new Counter({
    name: 'gatehouse_documents_ingested_total',
    help: 'Versions of documents that came to an end, by outcome',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const duration = new Histogram({
    name: 'gatehouse_ingest_stage_seconds',
    help: 'Time that one stage of reading in a document took',
    labelNames: ['stage'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers: [registry],
  });
  // It reports itself: the registry holds it.
  new Gauge({
    name: 'gatehouse_documents_unfinished',
    help: 'Documents on their way, by status: the depth of the queue',
    labelNames: ['status'],
    registers: [registry],
    async collect() {
      // A scrape never fails for want of the database: that it is away shows elsewhere.
      const rows = await countUnfinished().catch(() => null);
      if (rows === null) return;
      for (const status of unfinishedStatuses) this.set({ status }, 0);
      for (const { status, count } of rows) this.set({ status }, Number(count));
    },
  });
  for (const outcome of ['ready', 'failed']) ended.inc({ outcome }, 0);

  return {
    async timed(stage, work) {
      const began = clock.monotonicMs();
      try {
        return await work();
      } finally {
        duration.observe({ stage }, (clock.monotonicMs() - began) / 1000);
      }
    },
    ended: (outcome) => ended.inc({ outcome }),
  };
}
