import type { Reservations } from '../../src/gateway/index.ts';
import type { RequestLimitsDependencies } from '../../src/http/index.ts';

/** Limits and budgets of a world without any: everything is admitted, nothing is held. */
export function openDoors(): Reservations {
  return {
    limits: {
      demandsOfRequest: () => [],
      demandsOfQuery: () => [],
      demandsOfCall: () => [],
      demandsOfStranger: () => [],
      refusal: () => {
        throw new Error('nothing is ever refused here');
      },
      headers: () => ({}),
    },
    counters: {
      admit: ({ demands }) => ({
        outcome: 'admitted',
        states: demands.map(() => ({ remaining: 1, resetMs: 0 })),
        holds: false,
      }),
      settle: () => {},
      peek: (_group, demands) => demands.map(() => ({ remaining: 1, resetMs: 0 })),
      establish: () => {},
      forgetDoubt: () => {},
    },
    budgets: {
      demandsFor: () => [],
      establish: async () => {},
      refusal: () => {
        throw new Error('nothing is ever refused here');
      },
      noteUnderWay: () => {},
      patience: { ms: 0, waiters: 0 },
    },
    outputSizes: { expect: (_call, bound) => Math.min(bound ?? 1_024, 1_024), learn: () => {} },
  };
}

/** The same for requests over HTTP. */
export function openEntrance(): Omit<RequestLimitsDependencies, 'newId'> {
  return entranceOf(openDoors());
}

/** Requests over HTTP are limited by the same as calls. */
export function entranceOf({ limits, counters }: Reservations): Omit<RequestLimitsDependencies, 'newId'> {
  return { gate: limits, counters, weightOf: () => 1 };
}
