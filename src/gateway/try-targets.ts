import type { Clock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import type { Random } from '../platform/random.ts';
import type { Refusal, Target, TargetHealth } from '../routing/index.ts';
import { answerOf, cancelledError } from './answer-of.ts';
import { type AttemptDependencies, attempt } from './attempt.ts';
import type { CallAccount } from './call-account.ts';
import type { StreamGuard } from './hooks.ts';
import type { Answer, ModelCall, StreamSink } from './model-call.ts';
import type { Outcome } from './outcome.ts';
import { AttemptPlan, type Step } from './resilience/attempt-plan.ts';
import type { ResilienceMetrics } from './resilience/resilience-metrics.ts';
import type { RetryBudget } from './resilience/retry-budget.ts';
import { type Verdict, verdictOf } from './resilience/verdict.ts';

export interface TryTargetsDependencies extends AttemptDependencies {
  readonly health: TargetHealth;
  readonly budget: RetryBudget;
  readonly metrics: ResilienceMetrics;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  readonly random: Pick<Random, 'fraction'>;
}

/**
 * Tries targets until one answers: the next one takes over only while the caller has no byte yet, only when it may do
 * better, and never with a request that must not be sent twice.
 * @param targets in the order in which they are wanted.
 * @returns the answer, or a provider's refusal of the request itself, which no other target would take either.
 * @throws AppError in place of what cannot be shown to the caller as it is; a StreamBroken one once the stream has begun.
 */
export type TryTargets = (
  call: ModelCall,
  targets: readonly Target[],
  account: CallAccount,
  sink: StreamSink,
  guard: StreamGuard | null,
) => Promise<Answer>;

interface Tried extends Step {
  readonly outcome: Outcome;
  readonly verdict: Verdict;
}

export function createTryTargets(deps: TryTargetsDependencies): TryTargets {
  const { health, budget, metrics, clock } = deps;
  const nowMs = () => clock.now().getTime();

  return async function tryTargets(call, targets, account, sink, guard) {
    const plan = new AttemptPlan(
      {
        health,
        budget,
        budgetSpent: metrics.budgetSpent,
        fraction: deps.random.fraction,
        pause: (ms) => pauseOf(call, ms, account),
        leftMs: () => deps.timeouts.ofTargets(targets) - account.sinceStartMs(),
      },
      call.caller.principal.tenantId,
      targets,
    );
    let last: Tried | null = null;
    let noRoom: AppError | null = null;
    for (;;) {
      const next = plan.next();
      const step: Step | null = next instanceof Promise ? await next : next;
      if (step === null) break;
      if (last?.verdict.reason) metrics.wentOn(last.target, step.target, last.verdict.reason);
      const refusing = roomFor(step.target, account);
      const refused = refusing instanceof Promise ? await refusing : refusing;
      if (refused !== null) {
        noRoom ??= refused;
        step.visit.end(passedOver.health);
        plan.failed(passedOver, step.visit.key);
        continue;
      }
      begin(step, account);
      const outcome = await attempt(deps, call, step.target, step.visit, account, sink, guard);
      const verdict = verdictOf(outcome, call.request.repeatable, nowMs);
      step.visit.end(verdict.health);
      account.ended(outcome);
      last = { ...step, outcome, verdict };
      if (verdict.next === 'settled') break;
      plan.failed(verdict, step.visit.key);
    }
    if (last === null) {
      if (noRoom !== null) throw noRoom;
      metrics.nothingToTry();
      throw nothingToTry(targets, plan.refusals());
    }
    if (last.verdict.next !== 'settled' && call.cancellation.reason !== null)
      throw cancelledError(call, last.target.provider.name);
    return answerOf(call, last.outcome, last.target);
  };

  /** Whether limits and budgets have room for a target other than the one that was reserved for. */
  function roomFor(target: Target, { held }: CallAccount): AppError | null | Promise<AppError | null> {
    return held === null || held.covers(target) ? null : held.cover(target);
  }

  /** What cannot be noted must not be sent. */
  function begin({ target, visit }: Step, account: CallAccount): void {
    try {
      account.begin(target);
    } catch (error) {
      visit.end(passedOver.health);
      throw error;
    }
  }

  /** Ends early when the call does. */
  async function pauseOf(call: ModelCall, ms: number, account: CallAccount): Promise<void> {
    const { cancellation } = call;
    if (cancellation.reason !== null) return;
    const startedMs = account.sinceStartMs();
    const ended = new AbortController();
    cancellation.listen(() => ended.abort());
    await clock.sleep(ms, ended.signal).catch(() => {});
    cancellation.listen(null);
    account.upstreamMs += account.sinceStartMs() - startedMs;
  }
}

/** A target that this call may not go to. */
const passedOver: Verdict = { next: 'elsewhere', health: { kind: 'unknown' }, reason: null };

/** Every target is known to fail, at its limit, full, or has keys that cannot be opened. */
function nothingToTry(targets: readonly Target[], refusals: readonly Refusal[]): AppError {
  const names = [...new Set(targets.map((target) => `"${target.provider.name}"`))].join(', ');
  if (refusals.length === 0) {
    return new AppError(
      'dependency_down',
      `The stored key of ${names} cannot be opened. Start with the GATEHOUSE_MASTER_KEY that stored it, or set the provider up again.`,
    );
  }
  const waits = refusals.flatMap(({ waitMs }) => (waitMs === null ? [] : [waitMs]));
  const retryAfterSeconds = waits.length === 0 ? 1 : Math.max(1, Math.ceil(Math.min(...waits) / 1_000));
  if (refusals.some(({ refused }) => refused === 'full')) {
    return new AppError(
      'overloaded',
      `${names}: as many calls are in flight as the provider's max_concurrent allows. Try again shortly.`,
      { retryAfterSeconds },
    );
  }
  if (refusals.every(({ refused }) => refused === 'credential' || refused === 'keys_tried')) {
    return new AppError(
      'upstream_rejected',
      `${names}: refused this server's credential several times in a row. Check the provider's api_key and what it may do.`,
      { retryAfterSeconds },
    );
  }
  if (refusals.some(({ refused }) => refused === 'limited')) {
    return new AppError(
      'rate_limited',
      `${names}: the provider takes no more of this server's calls for now, by its own word. Try again in ${retryAfterSeconds} s.`,
      { retryAfterSeconds },
    );
  }
  return new AppError(
    'upstream_failed',
    `${names}: failed several times in a row, so no calls are sent there for now. Try again in ${retryAfterSeconds} s; GET /api/v1/providers/health tells what was wrong.`,
    { retryAfterSeconds },
  );
}
