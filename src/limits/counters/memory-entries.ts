import type {
  BudgetCounter,
  ConcurrencyCounter,
  CounterGroup,
  CounterTable,
  RateCounter,
  WindowCounter,
} from './counter-table.ts';
import type { ConcurrencyDemand, RateDemand, WindowDemand } from './counters.ts';
import { millionths } from './token-bucket.ts';

/** Counters as they begin. Each is written out whole, so that all of a kind have one shape in memory. */

/** A full bucket. */
export function addRate(table: CounterTable, group: CounterGroup, demand: RateDemand): RateCounter {
  return table.add({
    kind: 'rate',
    group,
    name: demand.counter,
    slot: 0,
    idleAtMs: 0,
    held: 0,
    pins: 0,
    level: demand.burst * millionths,
    atMs: 0,
  });
}

export function addWindow(table: CounterTable, group: CounterGroup, demand: WindowDemand): WindowCounter {
  return table.add({
    kind: 'window',
    group,
    name: demand.counter,
    slot: 0,
    idleAtMs: 0,
    held: 0,
    pins: 0,
    index: 0,
    previous: 0,
    current: 0,
  });
}

export function addConcurrency(
  table: CounterTable,
  group: CounterGroup,
  demand: ConcurrencyDemand,
): ConcurrencyCounter {
  return table.add({
    kind: 'concurrent',
    group,
    name: demand.counter,
    slot: 0,
    idleAtMs: 0,
    held: 0,
    pins: 0,
  });
}

export function addBudget(table: CounterTable, group: CounterGroup, name: string): BudgetCounter {
  return table.add({
    kind: 'budget',
    group,
    name,
    slot: 0,
    idleAtMs: 0,
    held: 0,
    pins: 0,
    base: 0,
    own: 0,
    awaited: [],
    endsAtMs: 0,
  });
}
