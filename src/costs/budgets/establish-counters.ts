import type { Counters } from '../../limits/index.ts';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import { maxLimitNanoUsd } from './budget.ts';
import type { BudgetSnapshot } from './budget-snapshot.ts';
import type { BudgetsStore } from './budgets.store.ts';
import type { HardBudget } from './hard-budgets.ts';
import type { Period } from './period.ts';

export interface EstablishDependencies {
  readonly store: Pick<BudgetsStore, 'spentByWriters'>;
  readonly counters: Pick<Counters, 'establish' | 'peek'>;
  readonly snapshot: Pick<BudgetSnapshot, 'find' | 'refresh'>;
  /** Undefined: there is no such tenant. */
  readonly timeZoneOf: (tenantId: string) => string | undefined;
  /** This process, and all that live, this one among them. */
  readonly writerId: string;
  readonly liveWriters: () => readonly string[];
  readonly rowsRecorded: () => number;
  /** @returns whether all rows recorded before are in the ledger, those of processes killed here included. */
  readonly flush: () => Promise<boolean>;
  /** False while calls of a process killed here are not in the books yet. */
  readonly recovered: () => boolean;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly log: Log;
}

/** Counters read from the ledger at once: each is a pass over a period's rows, and others need the database, too. */
const atOnce = 3;
/** Others' requests to tell what we spent that may wait; each is made again by whoever still needs it. */
const maxAnswering = 10_000;
/** How long others may take to tell what they spent. */
const tellingMs = 2_000;
const lookMs = 10;

/**
 * Makes budgets' counters known: what the ledger has of processes that do not live, and what this process has spent. The
 * two meet exactly at a row of this process, the cut: rows up to it are summed by the database, once all of them are
 * there, and rows after it are added as they are recorded, until the counters are told. From then on the counters add
 * them. So every row counts once, whatever is recorded meanwhile and whichever call it belongs to.
 */
export function createEstablishing(deps: EstablishDependencies) {
  const { counters, snapshot, log } = deps;
  /** By counter: what was recorded since the cut, nano-dollars, while it is being made known. */
  const sinceCut = new Map<string, { nanoUsd: bigint }>();
  const running = new Map<string, Promise<void>>();
  const turns = createTurns(atOnce);
  let answering = 0;

  const sumAndTell = async (budget: HardBudget, counter: string, period: Period): Promise<void> => {
    const since = { nanoUsd: 0n };
    sinceCut.set(counter, since);
    try {
      const cut = deps.rowsRecorded();
      if (!deps.recovered() || !(await deps.flush())) throw notYet();
      const writers = [...new Set([deps.writerId, ...deps.liveWriters()])];
      const { base, own } = await deps.store.spentByWriters(budget.budget, period, {
        own: deps.writerId,
        upTo: cut,
        living: writers,
      });
      await counters.establish(budget.budget.tenantId, counter, {
        base: amount(base),
        own: amount(own + since.nanoUsd),
        writers,
        endsAtMs: period.endMs,
      });
    } finally {
      sinceCut.delete(counter);
    }
  };

  const tell = (budget: HardBudget, counter: string, period: Period): Promise<void> => {
    const known = running.get(counter);
    if (known) return known;
    const telling = turns
      .take(() => sumAndTell(budget, counter, period))
      .finally(() => running.delete(counter));
    running.set(counter, telling);
    return telling;
  };

  const spentAndHeld = async (
    tenantId: string,
    counter: string,
    endsAtMs: number,
  ): Promise<number | null> => {
    const limit = amount(maxLimitNanoUsd);
    const [state] = await counters.peek(tenantId, [{ kind: 'budget', counter, limit, amount: 0, endsAtMs }]);
    // An unknown counter has nothing left, and no budget can have spent as much as that.
    return state && state.remaining > 0 ? limit - state.remaining : null;
  };

  /** Whoever found the counter unknown has asked the others; what they tell makes it known. */
  const othersTold = async (budget: HardBudget, counter: string, period: Period): Promise<void> => {
    const { tenantId } = budget.budget;
    const isKnown = async () => (await spentAndHeld(tenantId, counter, period.endMs)) !== null;
    if (deps.liveWriters().every((writer) => writer === deps.writerId) || (await isKnown())) return;
    const untilMs = deps.clock.monotonicMs() + tellingMs;
    while (!(await isKnown())) {
      if (deps.clock.monotonicMs() >= untilMs) throw notYet();
      await deps.clock.sleep(lookMs);
    }
  };

  const answer = async (tenantId: string, counter: string): Promise<void> => {
    let found = budgetOf(tenantId, counter);
    // Whoever asks may have heard of the budget before us.
    if (!found) {
      await snapshot.refresh(tenantId);
      found = budgetOf(tenantId, counter);
    }
    if (found) await tell(found.budget, counter, found.period);
  };

  /** A counter's name says the budget, and a time in its period. */
  const budgetOf = (tenantId: string, counter: string): { budget: HardBudget; period: Period } | null => {
    const [, id = '', ms = ''] = counter.split(':');
    const budget = snapshot.find(id);
    const timeZone = deps.timeZoneOf(tenantId);
    if (budget?.budget.tenantId !== tenantId || timeZone === undefined) return null;
    const named = budget.counterAt(timeZone, Number(ms));
    return named?.counter === counter ? { budget, period: named.period } : null;
  };

  return {
    /** @throws AppError `dependency_down`. */
    async establish(tenantId: string, counter: string): Promise<void> {
      const found = budgetOf(tenantId, counter);
      if (!found) {
        throw new AppError('dependency_down', 'A budget was changed just now. Try again.', {
          retryAfterSeconds: 1,
        });
      }
      try {
        await tell(found.budget, counter, found.period);
        await othersTold(found.budget, counter, found.period);
      } catch (cause) {
        throw cause instanceof AppError ? cause : notYet(cause);
      }
    },

    /** Told of what a row came to on a counter, before the counters are. */
    count(counter: string, nanoUsd: bigint): void {
      const since = sinceCut.get(counter);
      if (since) since.nanoUsd += nanoUsd;
    },

    /** Another process needs to know what this one spent on counters that nobody asked for here. */
    wanted(tenantId: string, counters: readonly string[]): void {
      for (const counter of counters) {
        if (answering >= maxAnswering) return;
        answering++;
        answer(tenantId, counter)
          .catch((error) =>
            log.warn({ err: error, counter }, 'what was spent here could not be told to others'),
          )
          .finally(() => answering--);
      }
    },

    spentAndHeld,
  };
}

function notYet(cause?: unknown): AppError {
  return new AppError(
    'dependency_down',
    'What is left of a budget cannot be read from the ledger just now, so no call is made on it. Try again shortly.',
    { cause, retryAfterSeconds: 1 },
  );
}

/** Counters compute with numbers; what is more than any limit is as good as that. */
function amount(nanoUsd: bigint): number {
  return Number(nanoUsd < maxLimitNanoUsd ? nanoUsd : maxLimitNanoUsd);
}

/** So many at once, the others in the order in which they came. */
function createTurns(places: number) {
  let free = places;
  const waiting: (() => void)[] = [];
  return {
    async take<T>(work: () => Promise<T>): Promise<T> {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next) next();
        else free++;
      }
    },
  };
}
