import type { Clock } from '../../platform/clock.ts';
import { type AdmissionRequest, type Decision, type Demand, demandsAtMost } from './counters.ts';
import { type Calls, MemoryLost } from './redis-calls.ts';
import { type Group, takenBy, unsureAtMost } from './redis-group.ts';
import type { RedisCountersMetrics } from './redis-metrics.ts';
import type { Reach } from './redis-reach.ts';
import type { StandIn } from './redis-stand-in.ts';
import { decisionOf, encodeDemands, holdsOf, neededMs, readRaw } from './redis-wire.ts';

export interface AdmissionDependencies {
  /** This process. */
  readonly writer: string;
  readonly reach: Pick<Reach, 'trip'>;
  readonly calls: Pick<Calls, 'admit'>;
  readonly standIn: Pick<StandIn, 'admit' | 'refuseClosed'>;
  readonly metrics: RedisCountersMetrics;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly nowMs: () => number;
  readonly open: (group: string) => Group;
  readonly isShared: (group: Group) => boolean;
  /** Counts with the others as soon as they were told. @returns whether that was within the time an admission waits. */
  readonly joinsSoon: (group: Group) => Promise<boolean>;
  /** Sends what is to be told of the group, so that it comes before what is asked. */
  readonly tellNow: (group: Group) => void;
  /** Asks other processes what they have spent on these counters. */
  readonly askWhatWasSpent: (group: string, counters: readonly string[]) => void;
}

/** Admissions: decided by Redis, and while it is away by this process at its share. */
export function createAdmissions(deps: AdmissionDependencies) {
  const { writer, reach, calls, standIn, metrics, clock, nowMs, open, isShared, joinsSoon, tellNow } = deps;
  let sequences = 0;

  const admitThere = async (group: Group, request: AdmissionRequest): Promise<Decision> => {
    const { id, demands } = request;
    tellNow(group);
    const sequence = ++sequences;
    const holds = holdsOf(demands);
    const record = holds.length > 0 ? JSON.stringify([writer, holds]) : '';
    const startedMs = clock.monotonicMs();
    const args = [1, id, sequence, record, encodeDemands(demands, true)];
    let reply: unknown[];
    try {
      reply = await calls.admit(group, neededMs(demands, nowMs()), args);
    } catch (error) {
      if (error instanceof MemoryLost) throw error;
      if (isHeldAlready(error)) throw new Error(`The reservation ${id} is held already.`, { cause: error });
      reach.trip(error);
      return admitHere(group, request, sequence);
    }
    metrics.latency.observe((clock.monotonicMs() - startedMs) / 1000);
    const outcome = reply[0] as number;
    if (outcome === -3) return unknown(group, demands, reply.slice(3) as number[]);
    const atMs = reply[1] as number;
    const raws = readRaw(demands, reply);
    group.see(demands, raws, atMs);
    if (outcome === 0 && record !== '') group.open.set(id, { holds, record, inRedis: true });
    return decisionOf(demands, raws, atMs, outcome === 0 ? null : outcome - 1, record !== '');
  };

  const unknown = (group: Group, demands: readonly Demand[], places: readonly number[]): Decision => {
    const counters = places.map((place) => demands[place - 1]?.counter ?? '');
    deps.askWhatWasSpent(group.name, counters);
    return { outcome: 'unknown', counters };
  };

  /** @param sequence of the admission that Redis may have heard of; null: it was not asked. */
  const admitHere = (group: Group, request: AdmissionRequest, sequence: number | null): Decision => {
    const { id, demands } = request;
    let decision: Decision;
    try {
      standIn.refuseClosed(demands);
      decision = standIn.admit(group, request);
    } catch (error) {
      metrics.closed.inc();
      if (sequence !== null) keepUnsure(group, request, sequence, false);
      throw error;
    }
    const admitted = decision.outcome === 'admitted';
    (admitted ? metrics.admitted : metrics.refused).inc();
    if (sequence !== null) keepUnsure(group, request, sequence, admitted);
    else if (admitted) group.take(demands, nowMs());
    if (admitted) group.hold(id, demands, writer, sequence !== null);
    return decision;
  };

  /** Redis is asked later what became of it. */
  const keepUnsure = (
    group: Group,
    { id, demands }: AdmissionRequest,
    sequence: number,
    admitted: boolean,
  ): void => {
    if (!admitted && holdsOf(demands).length > 0) group.settleLater([id, []]);
    if (group.unsure.length < unsureAtMost)
      group.unsure.push([sequence, admitted ? 1 : 0, takenBy(demands, nowMs())]);
    else if (admitted) group.take(demands, nowMs());
  };

  const admit = async (request: AdmissionRequest): Promise<Decision> => {
    const { demands } = request;
    if (demands.length > demandsAtMost) throw new Error(`More than ${demandsAtMost} demands at once.`);
    if (demands.length === 0) return { outcome: 'admitted', states: [], holds: false };
    const group = open(request.group);
    try {
      if (isShared(group) || (await joinsSoon(group))) return await admitThere(group, request);
    } catch (error) {
      if (!(error instanceof MemoryLost)) throw error;
      // Redis was emptied: it is told what it knew, and asked once more.
      if (await joinsSoon(group)) return admitThere(group, request).catch(orHere(group, request));
    }
    return admitHere(group, request, null);
  };

  const orHere = (group: Group, request: AdmissionRequest) => (error: unknown) => {
    if (!(error instanceof MemoryLost)) throw error;
    return admitHere(group, request, null);
  };

  return admit;
}

function isHeldAlready(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('HELD');
}
