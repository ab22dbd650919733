import { Counter } from 'prom-client';
import type { Metrics } from '../../platform/metrics.ts';
import type { Target } from '../../routing/index.ts';
import type { RetryReason } from './verdict.ts';

export interface ResilienceMetrics {
  /** A call goes on after an attempt that failed, at the same target or at another. */
  wentOn(from: Target, to: Target, reason: RetryReason): void;
  /** A call ended because its tenant's retries are used up. */
  budgetSpent(): void;
  /** A call was refused because no target could take it. */
  nothingToTry(): void;
}

/** Model names come from callers, so only so many targets get lines of their own. */
const maxTargets = 500;

export function createResilienceMetrics(registry: Metrics): ResilienceMetrics {
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name, help, labelNames, registers: [registry] });
  const retries = counter(
    'gatehouse_retries_total',
    'Attempts beyond the first of a call, by the target that had failed and why',
    ['provider', 'model', 'reason'],
  );
  const fallbacks = counter(
    'gatehouse_fallbacks_total',
    'Attempts beyond the first of a call that went to another target, by the one that took over',
    ['provider', 'model'],
  );
  const spent = counter('gatehouse_retry_budget_spent_total', 'Calls that ended for want of retries');
  const untried = counter('gatehouse_untried_calls_total', 'Calls that no target could take');
  const named = new Set<string>();
  const labelsOf = ({ provider, model }: Target) => {
    const name = `${provider.name} ${model}`;
    if (named.size < maxTargets) named.add(name);
    return named.has(name) ? { provider: provider.name, model } : { provider: 'other', model: 'other' };
  };
  return {
    wentOn(from, to, reason) {
      retries.inc({ ...labelsOf(from), reason });
      if (to !== from) fallbacks.inc(labelsOf(to));
    },
    budgetSpent: () => spent.inc(),
    nothingToTry: () => untried.inc(),
  };
}
