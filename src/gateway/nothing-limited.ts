import type { Reservations } from './reserve-call.ts';

/** Until limits and budgets are wired. */
export const nothingLimited: Reservations = {
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
    noteEnded: () => {},
    patience: { ms: 0, waiters: 0 },
  },
  outputSizes: { expect: (_call, bound) => Math.min(bound ?? 1_024, 1_024), learn: () => {} },
};
