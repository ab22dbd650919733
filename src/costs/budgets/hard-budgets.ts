import type { Budget, SpentOn } from './budget.ts';
import type { Period, Periods } from './period.ts';

/** A budget's counter in one period. */
export interface PeriodCounter {
  readonly counter: string;
  readonly period: Period;
}

/** A budget with a hard limit, as calls meet it. */
export class HardBudget {
  readonly budget: Budget;
  readonly limit: number;
  readonly #hardSinceMs: number;
  readonly #periods: Periods;
  #last: PeriodCounter | null = null;

  constructor(budget: Budget, periods: Periods) {
    this.budget = budget;
    this.limit = Number(budget.limitNanoUsd);
    this.#hardSinceMs = budget.hardSince?.getTime() ?? 0;
    this.#periods = periods;
  }

  /**
   * The counter of the period around that time. One that became hard within the period has a counter of its own, because
   * nobody counted while it was not. Null: the period was over before it became hard.
   */
  counterAt(timeZone: string, atMs: number): PeriodCounter | null {
    const period = this.#periods.at(timeZone, this.budget.period, atMs);
    if (this.#last?.period === period) return this.#last;
    if (period.endMs <= this.#hardSinceMs) return null;
    const counter = `budget:${this.budget.id}:${Math.max(period.startMs, this.#hardSinceMs)}`;
    this.#last = { counter, period };
    return this.#last;
  }
}

/** A tenant's budgets with a hard limit, by what they are of. Never changed: a newer state is a new one. */
export class HardBudgets {
  readonly all: readonly HardBudget[];
  readonly #ofTenant: readonly HardBudget[];
  readonly #byScope: Readonly<
    Record<'user' | 'key' | 'prompt' | 'model' | 'tag', Map<string, HardBudget[]> | null>
  >;

  constructor(budgets: readonly Budget[], periods: Periods) {
    this.all = budgets.map((budget) => new HardBudget(budget, periods));
    this.#ofTenant = this.all.filter(({ budget }) => budget.scope === 'tenant');
    const by = (scope: Budget['scope']) => {
      const found = this.all.filter(({ budget }) => budget.scope === scope);
      return found.length === 0 ? null : Map.groupBy(found, ({ budget }) => budget.scopeId ?? '');
    };
    this.#byScope = {
      user: by('user'),
      key: by('key'),
      prompt: by('prompt'),
      model: by('model'),
      tag: by('tag'),
    };
  }

  /**
   * The budgets that this falls under: one look-up for each thing that budgets are of. The tenant's come first: a refusal
   * names the first without room, and the widest concerns most.
   */
  of(spent: SpentOn): readonly HardBudget[] {
    const { user, key, prompt, model, tag } = this.#byScope;
    let found = this.#ofTenant;
    const add = (more: readonly HardBudget[] | undefined) => {
      if (more !== undefined) found = found.length === 0 ? more : [...found, ...more];
    };
    if (user !== null && spent.userId !== null) add(user.get(spent.userId));
    if (key !== null) add(key.get(spent.keyId));
    if (prompt !== null && spent.promptId !== null) add(prompt.get(spent.promptId));
    if (model !== null) {
      add(model.get(spent.model));
      if (spent.route !== null && spent.route !== spent.model) add(model.get(spent.route));
    }
    if (tag !== null) for (const name of spent.tags) add(tag.get(name));
    return found;
  }
}
