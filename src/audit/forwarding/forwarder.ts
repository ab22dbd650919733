import { Counter, Gauge } from 'prom-client';
import type { Clock } from '../../platform/clock.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { Random } from '../../platform/random.ts';
import type { Deliver } from './destination.ts';
import type { DestinationRow, ForwardingStore, Lag, Pending } from './forwarding.store.ts';

export interface ForwarderDependencies {
  readonly store: ForwardingStore;
  /** The way to a destination, its secret opened. */
  readonly wayTo: (row: DestinationRow) => Promise<Deliver>;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: Pick<Random, 'fraction'>;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly bounds?: ForwarderBounds;
}

export interface ForwarderBounds {
  readonly lookEveryMs: number;
  /** How long a claim holds unless it is renewed, which every look does; far longer than one batch may take. */
  readonly claimMs: number;
  /** How long one batch may take. */
  readonly batchMs: number;
}

const usualBounds: ForwarderBounds = { lookEveryMs: 1_000, claimMs: 60_000, batchMs: 30_000 };

/** Entries that go at once; a sequencer's batch is smaller, so there is a head among so many. */
const batchEntries = 4_000;
const longestWaitMs = 300_000;
const lagEveryMs = 15_000;
/** An object in S3 is written when its hour is over, or when so many entries wait. */
const objectEntries = 2_000;
/** After an hour its last entries get their places. */
const hourGraceMs = 10_000;
const hourMs = 3_600_000;

/**
 * Forwards every log to every destination, in order and at least once: how far each has got is written down when a batch has
 * arrived. One process at a time has a destination; each destination goes its own way, so one that is down holds up no other.
 */
export function createForwarder(deps: ForwarderDependencies) {
  const { store, clock, log } = deps;
  const { lookEveryMs, claimMs, batchMs } = deps.bounds ?? usualBounds;
  const claim = deps.newId();
  const stopping = new AbortController();
  const underWay = new Map<string, Promise<void>>();
  let loop: Promise<void> = Promise.resolve();
  let lags: readonly Lag[] = [];
  let lagsAtMs = Number.NEGATIVE_INFINITY;

  const forwarded = new Counter({
    name: 'gatehouse_audit_forwarded_total',
    help: 'Entries of the audit log that were forwarded, by destination',
    labelNames: ['destination'],
    registers: [deps.metrics],
  });
  const failures = new Counter({
    name: 'gatehouse_audit_forwarding_failures_total',
    help: 'Tries to forward entries of the audit log that failed, by destination',
    labelNames: ['destination'],
    registers: [deps.metrics],
  });
  const gauge = (name: string, help: string, value: (lag: Lag) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['destination'],
      registers: [deps.metrics],
      collect() {
        this.reset();
        for (const lag of lags) this.set({ destination: lag.name }, value(lag));
      },
    });
  gauge(
    'gatehouse_audit_forwarding_lag_entries',
    'Entries that a destination has not got yet',
    ({ entries }) => entries,
  );
  gauge(
    'gatehouse_audit_forwarding_lag_seconds',
    'Age of the oldest entry that a destination has not got yet',
    ({ oldest }) => (oldest === null ? 0 : Math.max(0, (clock.now().getTime() - oldest.getTime()) / 1_000)),
  );

  const forwardLog = async (row: DestinationRow, deliver: Deliver, pending: Pending): Promise<void> => {
    const { tenantId, nextLeaf } = pending;
    const { next, lines } = await store.stretch(tenantId, nextLeaf, batchEntries);
    const first = lines[0];
    if (first === undefined || (row.kind === 's3' && !isObjectDue(first.at, next - nextLeaf, clock.now())))
      return;
    const late = AbortSignal.timeout(batchMs);
    await deliver(
      { tenantId, firstLeaf: nextLeaf, nextLeaf: next, lines },
      AbortSignal.any([late, stopping.signal]),
    );
    const advanced = await store.advance(
      { name: row.name, claim },
      { tenantId, from: nextLeaf, to: next, lost: pending.lost },
    );
    if (!advanced) throw new Error('another process has taken this destination over');
    forwarded.inc({ destination: row.name }, next - nextLeaf);
  };

  const forward = async (row: DestinationRow): Promise<void> => {
    try {
      const deliver = await deps.wayTo(row);
      for (const pending of await store.pending(row.name)) {
        if (stopping.signal.aborted) break;
        await forwardLog(row, deliver, pending);
      }
      await store.release(row.name, claim, null);
    } catch (error) {
      if (!stopping.signal.aborted) failures.inc({ destination: row.name });
      const longest = Math.min(longestWaitMs, 1_000 * 2 ** Math.min(row.tries, 20));
      const inMs = stopping.signal.aborted ? 0 : Math.ceil(longest * (0.5 + deps.random.fraction() / 2));
      log.warn(
        { err: error, destination: row.name, tries: row.tries + 1 },
        'the audit log was not forwarded',
      );
      await store.release(row.name, claim, { error: inWords(error), inMs });
    }
  };

  const look = async (): Promise<void> => {
    for (const row of await store.claim(claim, claimMs, [...underWay.keys()])) {
      const work = forward(row)
        .catch((error) =>
          log.warn({ err: error, destination: row.name }, 'a destination keeps its claim until it runs out'),
        )
        .finally(() => underWay.delete(row.name));
      underWay.set(row.name, work);
    }
    if (clock.monotonicMs() - lagsAtMs >= lagEveryMs) {
      lagsAtMs = clock.monotonicMs();
      lags = await store.lags();
    }
  };

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await look().catch((error) =>
        log.warn({ err: error }, 'destinations of the audit log could not be looked for'),
      );
      await clock.sleep(lookEveryMs, stopping.signal).catch(() => {});
    }
  };

  return {
    start(): void {
      loop = run();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await loop;
      await Promise.all(underWay.values());
    },
  };
}

/** @param oldest of the first entry that would be in it. */
export function isObjectDue(oldest: Date, entries: number, now: Date): boolean {
  const hourEnd = (Math.floor(oldest.getTime() / hourMs) + 1) * hourMs;
  return entries >= objectEntries || now.getTime() >= hourEnd + hourGraceMs;
}

function inWords(error: unknown): string {
  if (!(error instanceof Error)) return 'the exchange failed';
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'no answer in time';
  return error.message;
}
