import type { RecordedRow } from '../../src/costs/index.ts';
import type { Reservations } from '../../src/gateway/index.ts';
import type { BudgetDemand, Counters, Demand, MemoryCounters } from '../../src/limits/index.ts';
import { createMemoryCounters } from '../../src/limits/index.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import { AppError } from '../../src/platform/errors.ts';

const dayMs = 86_400_000;

/** Limits and budgets of a test that has its own, small ones; what is absent does not exist. */
export interface SmallLimits {
  readonly clock?: Clock;
  readonly requestsPerDay?: number;
  readonly queriesAtATime?: number;
  readonly tokensPerDay?: number;
  /** Tokens a day by model. */
  readonly modelTokens?: Readonly<Record<string, number>>;
  /** Nano-dollars by model; `all` for whatever model. */
  readonly budgets?: Readonly<Record<string, number>>;
  readonly patience?: { readonly ms: number; readonly waiters: number };
  /** What is expected of answers whose callers set no bound; 100 when absent. */
  readonly outputTokens?: number;
  /** Puts the counters behind something else, a promise say. */
  readonly through?: (counters: MemoryCounters) => Counters;
}

export interface SmallReservations extends Reservations {
  readonly memory: MemoryCounters;
  /** For the costs that record. */
  recorded(row: RecordedRow): void;
  /** Calls that were noted, by id and model. */
  readonly noted: string[];
  readonly learned: number[];
  /** How often each reservation was settled. */
  readonly settled: Map<string, number>;
  /** What is left of a counter: `requests`, `queries`, `tokens`, `tokens:<model>`, `budget:<model>`. */
  left(counter: string): number;
}

export const tenantOfTest = '01920000-0000-7000-8000-000000000001';

export function createSmallLimits(given: SmallLimits): SmallReservations {
  const clock = given.clock ?? systemClock;
  const memory = createMemoryCounters({ clock, writer: 'test' });
  const counters = given.through?.(memory) ?? memory;
  const endsAtMs = Math.ceil(clock.now().getTime() / dayMs + 1) * dayMs;
  const window = (counter: string, limit: number, amount: number, reserved: boolean): Demand => ({
    kind: 'window',
    counter,
    windowMs: dayMs,
    limit,
    amount,
    reserved,
  });
  const budget = (of: string, amount: number): BudgetDemand => ({
    kind: 'budget',
    counter: `budget:${of}`,
    limit: given.budgets?.[of] ?? 0,
    amount,
    endsAtMs,
  });
  const ofRequest = (amount: number): Demand[] =>
    given.requestsPerDay === undefined ? [] : [window('requests', given.requestsPerDay, amount, false)];
  const ofQuery = (): Demand[] =>
    given.queriesAtATime === undefined
      ? []
      : [{ kind: 'concurrent', counter: 'queries', limit: given.queriesAtATime }];
  const ofTokens = (model: string, tokens: number): Demand[] => {
    const all = given.tokensPerDay === undefined ? [] : [window('tokens', given.tokensPerDay, tokens, true)];
    const ofModel = given.modelTokens?.[model];
    return ofModel === undefined ? all : [...all, window(`tokens:${model}`, ofModel, tokens, true)];
  };
  const budgetsOf = (model: string) => [model, 'all'].filter((of) => given.budgets?.[of] !== undefined);
  const noted: string[] = [];
  const learned: number[] = [];
  const settled = new Map<string, number>();
  const all = (): Demand[] => [
    ...ofRequest(0),
    ...ofQuery(),
    ...ofTokens('', 0),
    ...Object.entries(given.modelTokens ?? {}).map(([of, limit]) => window(`tokens:${of}`, limit, 0, true)),
    ...Object.keys(given.budgets ?? {}).map((of) => budget(of, 0)),
  ];

  return {
    memory,
    noted,
    learned,
    settled,
    limits: {
      demandsOfRequest: ({ weight }) => ofRequest(weight),
      demandsOfQuery: ({ weight }) => [...ofRequest(weight), ...ofQuery()],
      demandsOfCall: (_principal, { model, tokens }) => ofTokens(model, tokens),
      demandsOfStranger: () => [window('strangers', 3, 1, false)],
      refusal: ({ counter }, { retryAfterMs }) =>
        new AppError('rate_limited', `no room: ${counter}`, {
          retryAfterSeconds: Math.ceil((retryAfterMs ?? 0) / 1_000),
        }),
      headers: (demands, states) => ({
        'x-ratelimit-of': demands
          .map(({ counter }, at) => `${counter}=${states[at]?.remaining}`)
          .filter((text) => !text.startsWith('budget:'))
          .join(','),
      }),
    },
    counters: {
      ...counters,
      settle(group, id, actuals) {
        if (!id.startsWith('row:')) settled.set(id, (settled.get(id) ?? 0) + 1);
        counters.settle(group, id, actuals);
      },
    },
    budgets: {
      demandsFor: ({ model }, amount) => budgetsOf(model).map((of) => budget(of, Number(amount ?? 0n))),
      async establish(principal, names) {
        for (const name of names) {
          await counters.establish(principal.tenantId, name, {
            base: 0,
            own: 0,
            writers: ['test'],
            endsAtMs,
          });
        }
      },
      refusal: ({ counter }, { remaining }) =>
        new AppError('budget_exceeded', `${counter}: ${remaining} left`),
      noteUnderWay: ({ id, model }) => noted.push(`${id} ${model}`),
      patience: given.patience ?? { ms: 0, waiters: 0 },
    },
    outputSizes: {
      expect: (_call, bound) => Math.min(bound ?? 1e9, given.outputTokens ?? 100),
      learn: (_call, tokens) => learned.push(tokens),
    },
    recorded({ call, costNanoUsd }) {
      const spent = new Map(budgetsOf(call.model).map((of) => [`budget:${of}`, Number(costNanoUsd ?? 0n)]));
      counters.settle(call.tenantId, `row:${call.id}`, spent);
    },
    left(counter) {
      const demand = all().find((candidate) => candidate.counter === counter);
      if (!demand) throw new Error(`no counter ${counter}`);
      return memory.peek(tenantOfTest, [demand])[0]?.remaining ?? 0;
    },
  };
}
