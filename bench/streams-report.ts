import type { Spread } from './statistics.ts';

const mib = 1024 * 1024;

/** What flooded readers hold up, where it can be seen from outside. Bytes. */
export interface HeldUp {
  readonly sent: number;
  readonly read: number;
  readonly inKernel: number;
}

export interface StreamFigures {
  readonly memoryMb: {
    readonly start: number | undefined;
    readonly peak: number;
    readonly end: number | undefined;
  };
  readonly held: HeldUp;
  readonly inTheMiddle: Spread;
  readonly flooded: Spread;
  readonly whole: number;
  readonly textEventsPerSecond: number;
  readonly gatehouseCpuShare: number;
  readonly booked: number;
}

/** What was asked for: streams in all, those to be read to their end, and those from a provider without a pace. */
export interface StreamCounts {
  readonly streams: number;
  readonly whole: number;
  readonly flooded: number;
}

/** The figures as lines to be read. */
export function describeStreams(figures: StreamFigures, counts: StreamCounts): string {
  const { memoryMb, held, inTheMiddle, flooded, ...rest } = figures;
  const mb = (bytes: number): string => `${(bytes / mib).toFixed(0)} MiB`;
  const delay = ({ count, p50, p99, max }: Spread): string =>
    `p50 ${p50}, p99 ${p99}, max ${max} (of ${count})`;
  const { start = Number.NaN, peak, end = Number.NaN } = memoryMb;
  const lines = [
    `Memory of Gatehouse: ${start.toFixed(0)} MiB at the start, ${peak.toFixed(0)} at most, ${end.toFixed(0)} at the end`,
    `For the ${counts.flooded} without a pace ${mb(held.sent)} had left the provider: they had read ${mb(held.read)}, ` +
      `the kernel held ${mb(held.inKernel)}, all processes together ${mb(held.sent - held.read - held.inKernel)}`,
    `From a client's leaving to the provider's notice, ms: in the middle ${delay(inTheMiddle)}; ` +
      `of those without a pace ${delay(flooded)}`,
    `Streams read to their end: ${rest.whole} of ${counts.whole}; ${rest.textEventsPerSecond.toFixed(0)} events with ` +
      `text a second, Gatehouse took ${(100 * rest.gatehouseCpuShare).toFixed(0)} % of a core`,
    `Ledger: ${rest.booked} endings booked once and rightly of ${counts.streams}`,
  ];
  return `\n${lines.map((line) => `  ${line}\n`).join('')}`;
}
