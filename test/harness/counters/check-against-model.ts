import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import type { Counters, Demand } from '../../../src/limits/index.ts';
import { createReferenceModel } from './reference-model.ts';
import {
  budgetCounters,
  budgetsEndAtMs,
  type Schedule,
  type Step,
  schedules,
  type World,
} from './schedules.ts';

/** Time as a schedule drives it. */
export interface DrivenTime {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Never goes back, and does not jump when the clock is set. */
  monotonicMs(): number;
}

export interface EngineUnderTest {
  /** The counters as one process has them. @param writer never used for another process. */
  process(writer: string): ProcessUnderTest | Promise<ProcessUnderTest>;
  /** Shared counters only: all that they remember is gone, as when Redis is started anew. */
  lose?(): Promise<void>;
  /** The schedule is over. */
  close(): void | Promise<void>;
}

export interface ProcessUnderTest {
  readonly counters: Counters;
  /** Shared counters only: leases what this process holds anew, and returns when that is done. */
  renew?(): Promise<void>;
  /** Shared counters only: returns when all settlements have arrived. */
  settled?(): Promise<void>;
  /** It dies: nothing more is heard of it. */
  kill?(): void | Promise<void>;
}

export interface CheckOptions {
  /** Counters that several processes share: 2 of them play, and what a dead one held returns when its lease ends. */
  readonly shared: boolean;
  readonly runs: number;
  /** Steps of one schedule, at most 200. */
  readonly length?: number;
  /** To play a reported failure again. */
  readonly seed?: number;
  readonly path?: string;
}

export type EngineFactory = (time: DrivenTime, world: World) => EngineUnderTest | Promise<EngineUnderTest>;

/** Plays random schedules on an engine and on the reference model, and compares every decision and every look. */
export async function checkAgainstModel(factory: EngineFactory, options: CheckOptions): Promise<void> {
  const { shared, runs, length = 60, seed, path } = options;
  const property = fc.asyncProperty(schedules(length, { shared }), (schedule) =>
    play(factory, schedule, shared),
  );
  await fc.assert(property, {
    numRuns: runs,
    ...(seed === undefined ? {} : { seed }),
    ...(path === undefined ? {} : { path }),
  });
}

interface Player extends ProcessUnderTest {
  readonly writer: string;
}

interface Reservation {
  readonly id: string;
  readonly group: string;
  readonly writer: string;
  readonly demands: readonly Demand[];
  readonly holds: boolean;
}

let made = 0;

/** @throws AssertionError where engine and model differ. */
export async function play(factory: EngineFactory, schedule: Schedule, shared: boolean): Promise<void> {
  const time = { now: schedule.startMs, monotonic: 0 };
  const engine = await factory({ now: () => time.now, monotonicMs: () => time.monotonic }, schedule.world);
  const model = createReferenceModel({ leases: shared });
  // Schedules may share one Redis, so nothing of one has the name of another's.
  const run = ++made;
  let count = 0;
  const start = async (): Promise<Player> => {
    const writer = `writer-${run}-${++count}`;
    return { writer, ...(await engine.process(writer)) };
  };
  const players = [await start(), ...(shared ? [await start()] : [])];
  const dead: string[] = [];
  const open: Reservation[] = [];
  const ended: Reservation[] = [];
  /** What the ledger says: by counter in its group, and writer. */
  const ledger = new Map<string, Map<string, number>>();
  const groupName = (group: number) => `group-${run}-${group}`;
  const playerAt = (n: number) => players[n % players.length] as Player;
  const spentIn = (group: string, counter: string) => {
    const key = `${group} ${counter}`;
    const spent = ledger.get(key) ?? new Map<string, number>();
    ledger.set(key, spent);
    return spent;
  };

  const renewAll = async () => {
    for (const player of players) {
      await player.renew?.();
      model.renew(player.writer, time.now);
    }
  };
  const allArrived = async () => {
    for (const player of players) await player.settled?.();
  };

  const establish = async (player: Player, group: string, counter: string) => {
    const writers = players.map((p) => p.writer);
    const spent = spentIn(group, counter);
    const base = [...spent]
      .filter(([w]) => !writers.includes(w))
      .reduce((sum, [, amount]) => sum + amount, 0);
    const own = spent.get(player.writer) ?? 0;
    const established = { base, own, writers, endsAtMs: budgetsEndAtMs };
    await player.counters.establish(group, counter, established);
    model.establish(player.writer, group, counter, established);
  };

  const settle = async (reservation: Reservation, share: number) => {
    const { writer, id, group, demands } = reservation;
    const player = players.find((p) => p.writer === writer);
    if (!player) return;
    const actuals = new Map<string, number>();
    for (const demand of demands) {
      if (demand.kind === 'concurrent' || demand.kind === 'rate') continue;
      actuals.set(demand.counter, Math.floor(demand.amount * share));
    }
    if (!ended.includes(reservation)) {
      for (const [counter, amount] of actuals) {
        if (!counter.startsWith('budget:')) continue;
        const spent = spentIn(group, counter);
        spent.set(writer, (spent.get(writer) ?? 0) + amount);
      }
    }
    player.counters.settle(group, id, actuals);
    model.settle(writer, time.now, group, id, actuals);
    await allArrived();
  };

  const kill = async (n: number) => {
    const index = n % players.length;
    const player = playerAt(index);
    await player.kill?.();
    dead.push(player.writer);
    // What one process knows by itself dies with it.
    if (!shared) model.lose();
    players[index] = await start();
  };

  const take = async (step: Step): Promise<void> => {
    switch (step.do) {
      case 'admit': {
        const { writer, counters } = playerAt(step.process);
        const request = { group: groupName(step.group), id: `r-${run}-${++count}`, demands: step.demands };
        const decided = await counters.admit(request);
        const expected = model.admit(writer, time.now, request);
        deepStrictEqual(decided, expected);
        if (decided.outcome !== 'admitted') return;
        open.push({ ...request, writer, holds: decided.holds });
        return;
      }
      case 'peek': {
        const { writer, counters } = playerAt(step.process);
        const group = groupName(step.group);
        const seen = await counters.peek(group, step.demands);
        deepStrictEqual(seen, model.peek(writer, time.now, group, step.demands));
        return;
      }
      case 'settle': {
        const [reservation] = open.splice(step.reservation % Math.max(1, open.length), 1);
        if (!reservation) return;
        await settle(reservation, step.share);
        ended.push(reservation);
        return;
      }
      case 'settle again': {
        const reservation = ended[step.reservation % Math.max(1, ended.length)];
        if (reservation) await settle(reservation, step.share);
        return;
      }
      case 'establish':
        for (const player of players) {
          await establish(player, groupName(step.group), counterAt(step.counter));
        }
        return;
      case 'establish alone':
        return establish(playerAt(step.process), groupName(step.group), counterAt(step.counter));
      case 'advance':
        time.now += step.ms;
        time.monotonic += step.ms;
        return renewAll();
      case 'set clock':
        time.now += step.byMs;
        return renewAll();
      case 'kill':
        return kill(step.process);
      case 'forget doubt':
        for (const writer of dead) {
          await playerAt(0).counters.forgetDoubt(groupName(step.group), writer);
          model.forgetDoubt(time.now, groupName(step.group), writer);
        }
        return;
      case 'lose':
        await engine.lose?.();
        if (engine.lose) model.lose();
    }
  };

  try {
    for (const step of schedule.steps) await take(step);
  } finally {
    for (const player of players) await player.kill?.();
    await engine.close();
  }
}

const counterAt = (n: number): string => budgetCounters[n % budgetCounters.length] as string;
