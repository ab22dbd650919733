import type { Measured, Round, Subject } from './compare.ts';
import { medianOf, pairedRatio } from './statistics.ts';

/** From this share of its core on, a proxy itself is what limits the throughput. */
const fullyBusy = 0.9;

/** A line for each subject, every figure the median of its rounds. */
export function describe(measured: Measured): string {
  return [...measured].map(([name, rounds]) => `  ${lineOf(name, rounds)}\n`).join('');
}

function lineOf(name: string, rounds: readonly Round[]): string {
  const median = (read: (round: Round) => number): number => medianOf(rounds.map(read));
  const failures = rounds.reduce((total, { refused, broken }) => total + refused + broken, 0);
  const database = median((round) => round.databaseCpuUsPerReply);
  return [
    name.padEnd(9),
    `${median((round) => round.repliesPerSecond)
      .toFixed(0)
      .padStart(6)} replies/s`,
    `p50 ${median((round) => round.latencyMs.p50).toFixed(2)} ms`,
    `p99 ${median((round) => round.latencyMs.p99).toFixed(2)} ms`,
    `first token p50 ${median((round) => round.firstTokenMs.p50).toFixed(2)} ms`,
    `p99 ${median((round) => round.firstTokenMs.p99).toFixed(2)} ms`,
    `${median((round) => round.cpuUsPerReply).toFixed(0)} us CPU a reply${database > 0 ? ` (+ ${database.toFixed(0)} database)` : ''}`,
    `core ${(100 * median((round) => round.busy)).toFixed(0)} % busy`,
    failures === 0 ? 'no failures' : `${failures} FAILURES`,
  ].join(' | ');
}

export interface Ratios {
  /** Replies a second, Gatehouse's over the other's. */
  readonly throughput: number;
  /** CPU time of a reply, the other's over Gatehouse's: what the throughput would be if nothing else limited. */
  readonly cpu: number;
}

/** What Gatehouse is compared with. */
const baselines = ['bare', 'portkey'] as const;
type Baseline = (typeof baselines)[number];

/** Gatehouse against each of the others that was measured; nothing when Gatehouse was not. */
export function ratiosOf(measured: Measured): Partial<Record<Baseline, Ratios>> {
  const gatehouse = measured.get('gatehouse') ?? [];
  const ratios = baselines.flatMap((name) => {
    const other = measured.get(name);
    return other === undefined || gatehouse.length === 0 ? [] : [[name, ratioOf(gatehouse, other)]];
  });
  return Object.fromEntries(ratios);
}

function ratioOf(gatehouse: readonly Round[], other: readonly Round[]): Ratios {
  const series = (rounds: readonly Round[], read: (round: Round) => number): number[] => rounds.map(read);
  return {
    throughput: pairedRatio(
      series(gatehouse, (round) => round.repliesPerSecond),
      series(other, (round) => round.repliesPerSecond),
    ),
    cpu: pairedRatio(
      series(other, (round) => round.cpuUsPerReply),
      series(gatehouse, (round) => round.cpuUsPerReply),
    ),
  };
}

/** A line for each ratio, with a warning when the load, not the proxy, was the limit. */
export function describeRatios(measured: Measured): string {
  const told = Object.entries(ratiosOf(measured)).map(
    ([name, { throughput, cpu }]) =>
      `  gatehouse/${name}: ${throughput.toFixed(2)} by replies a second, ${cpu.toFixed(2)} by CPU a reply\n`,
  );
  const bareBusy = medianOf((measured.get('bare') ?? []).map((round) => round.busy));
  const limited = `  The bare proxy used ${(100 * bareBusy).toFixed(0)} % of its core, so the load was its limit: go by CPU a reply.\n`;
  return `${told.join('')}${bareBusy < fullyBusy ? limited : ''}`;
}

/** What each proxy adds to the provider's own time, in milliseconds: the difference of the medians of each point. */
export function addedMs(measured: Measured, field: 'latencyMs' | 'firstTokenMs'): Record<string, number> {
  const of = (name: Subject['name'], point: 'p50' | 'p99'): number =>
    medianOf((measured.get(name) ?? []).map((round) => round[field][point]));
  const added: Record<string, number> = {};
  for (const name of measured.keys()) {
    if (name === 'direct') continue;
    for (const point of ['p50', 'p99'] as const)
      added[`${name} ${point}`] = of(name, point) - of('direct', point);
  }
  return added;
}

/** The added times in a line. */
export function describeAdded(what: string, added: Readonly<Record<string, number>>): string {
  const told = Object.entries(added).map(([name, ms]) => `${name} ${ms < 0 ? '' : '+'}${ms.toFixed(2)} ms`);
  return `  ${what} added to the provider's own: ${told.join(', ')}\n`;
}
