import type { ProviderKey, Refusal, Target, TargetHealth, Visit } from '../../routing/index.ts';
import { backoffMs, maxBackoffMs } from './backoff.ts';
import type { RetryBudget } from './retry-budget.ts';
import type { Verdict } from './verdict.ts';

/** Spec: attempts at one target. */
export const maxAttemptsPerTarget = 3;
/** However many targets a route has: a caller has not the patience for more, and neither have the providers. */
export const maxAttempts = 12;

export interface AttemptPlanDependencies {
  readonly health: Pick<TargetHealth, 'enter' | 'doubt' | 'waitMs' | 'inFlight'>;
  readonly budget: RetryBudget;
  /** Told when a call ends because there is no room for a retry. */
  readonly budgetSpent: () => void;
  /** Gives a number in [0, 1). */
  readonly fraction: () => number;
  /** Waits, or less when the call is ended meanwhile. */
  readonly pause: (ms: number) => Promise<void>;
  /** Milliseconds that the call has left. */
  readonly leftMs: () => number;
}

export interface Step {
  readonly target: Target;
  readonly visit: Visit;
}

/** What this call knows of one of its targets. */
interface Candidate {
  readonly target: Target;
  attempts: number;
  /** Keys that it was refused with: for this call, or for this round. */
  refusedKeys: ProviderKey[];
  limitedKeys: ProviderKey[];
  refusal: Refusal | null;
  out: boolean;
}

/**
 * Where a call goes next. It goes from target to target without a pause, each once; when all have failed it pauses, for
 * longer each time, and goes round again, three times in all. Whoever is known to fail is left out, and whoever has
 * failed lately comes after those who have not. Every attempt but the first is a retry, which the tenant's budget must
 * have room for.
 */
export class AttemptPlan {
  readonly #deps: AttemptPlanDependencies;
  readonly #tenantId: string;
  readonly #candidates: readonly Candidate[];
  #attempts = 0;
  #round = 0;
  /** To be tried next, with another key. */
  #sameAgain: Candidate | null = null;
  #lastTried: Candidate | null = null;

  constructor(deps: AttemptPlanDependencies, tenantId: string, targets: readonly Target[]) {
    this.#deps = deps;
    this.#tenantId = tenantId;
    this.#candidates = targets.map((target) => ({
      target,
      attempts: 0,
      refusedKeys: [],
      limitedKeys: [],
      refusal: null,
      out: target.provider.keyProblem !== null,
    }));
  }

  /** @returns where to go next, after a pause if need be; null when there is nothing left to be tried. */
  next(): Step | null | Promise<Step | null> {
    const { budget } = this.#deps;
    if (this.#attempts === 0) {
      const step = this.#enterOne();
      if (step) budget.called(this.#tenantId);
      return step;
    }
    if (this.#attempts >= maxAttempts || !this.#hasRoom()) return null;
    const step = this.#enterOne();
    if (!step) return this.#nextRound();
    budget.take(this.#tenantId);
    return step;
  }

  /** Tells how the last step came out, when the call did not end with it. */
  failed({ next, reason }: Verdict, key: ProviderKey | null): void {
    const tried = this.#lastTried;
    if (!tried) return;
    if (next === 'elsewhere') tried.out = true;
    if (next !== 'other_key') return;
    const isLimit = reason === 'rate_limit';
    if (key) (isLimit ? tried.limitedKeys : tried.refusedKeys).push(key);
    const keys = tried.target.provider.keys.length;
    if (!isLimit && tried.refusedKeys.length >= keys) tried.out = true;
    if (keys > 1 && tried.attempts < maxAttemptsPerTarget) this.#sameAgain = tried;
  }

  /** Why no target let the call in. */
  refusals(): Refusal[] {
    return this.#candidates.flatMap(({ refusal }) => (refusal ? [refusal] : []));
  }

  #hasRoom(): boolean {
    if (this.#deps.budget.room(this.#tenantId) > 0) return true;
    this.#deps.budgetSpent();
    return false;
  }

  #enterOne(): Step | null {
    const again = this.#sameAgain;
    this.#sameAgain = null;
    const step = again ? this.#enter(again) : null;
    if (step) return step;
    const untried = this.#candidates.filter(({ attempts, out }) => !out && attempts <= this.#round);
    if (untried.length > 1) this.#doubtfulLast(untried);
    for (const candidate of untried) {
      const entered = this.#enter(candidate);
      if (entered) return entered;
    }
    return null;
  }

  #enter(candidate: Candidate): Step | null {
    const { target } = candidate;
    const refused =
      candidate.limitedKeys.length === 0
        ? candidate.refusedKeys
        : [...candidate.refusedKeys, ...candidate.limitedKeys];
    const visit = this.#deps.health.enter(target, refused);
    if ('refused' in visit) {
      candidate.refusal = visit;
      return null;
    }
    candidate.attempts++;
    this.#attempts++;
    this.#lastTried = candidate;
    return { target, visit };
  }

  /** Keeps the order among those that are doubted alike. */
  #doubtfulLast(candidates: Candidate[]): void {
    const { health, budget } = this.#deps;
    const [first] = candidates;
    if (first && health.doubt(first.target) === 0) return;
    const room = budget.room(this.#tenantId);
    const rankOf = ({ target }: Candidate): number => {
      const doubt = health.doubt(target);
      // Each of the calls that are there already may need a retry, and so may this one.
      return doubt === 1 && room > health.inFlight(target) ? 0 : doubt;
    };
    const ranks = new Map(candidates.map((candidate) => [candidate, rankOf(candidate)]));
    candidates.sort((a, b) => (ranks.get(a) ?? 0) - (ranks.get(b) ?? 0));
  }

  /** All have been tried: a pause, as long as the providers ask for if they do, and then from the front again. */
  async #nextRound(): Promise<Step | null> {
    while (++this.#round < maxAttemptsPerTarget) {
      const left = this.#candidates.filter(({ attempts, out }) => !out && attempts < maxAttemptsPerTarget);
      if (left.length === 0) return null;
      for (const candidate of left) candidate.limitedKeys = [];
      const waitMs = Math.max(
        backoffMs(this.#round, this.#deps.fraction),
        Math.min(...left.map(({ target }) => this.#deps.health.waitMs(target))),
      );
      if (waitMs > maxBackoffMs || waitMs >= this.#deps.leftMs()) return null;
      await this.#deps.pause(waitMs);
      // Others may have used up the room in the meantime.
      if (!this.#hasRoom()) return null;
      const step = this.#enterOne();
      if (step) {
        this.#deps.budget.take(this.#tenantId);
        return step;
      }
    }
    return null;
  }
}
