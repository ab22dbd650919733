import { createCounter } from '../platform/counter.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { LimitGate } from './limit-gate.ts';

/** Limits and scopes are few; were they not, the rest would share one line. */
const maxLines = 100;

/** The same gate, with its refusals counted by limit and scope. Whose they were is in the log, not in a label. */
export function countingViolations(gate: LimitGate, registry: Metrics): LimitGate {
  const violations = createCounter(registry, {
    name: 'rate_limit_violations_total',
    help: 'Requests and calls that were refused by a limit',
  });
  const others = violations.series({ limit: 'other', scope: 'other' });
  const lines = new Map<string, { inc(): void }>();
  const lineOf = (limit: unknown, scope: unknown): { inc(): void } => {
    if (typeof limit !== 'string' || typeof scope !== 'string') return others;
    const name = `${limit} ${scope}`;
    const known = lines.get(name);
    if (known) return known;
    if (lines.size >= maxLines) return others;
    const line = violations.series({ limit, scope });
    lines.set(name, line);
    return line;
  };

  return {
    ...gate,
    refusal(demand, refused) {
      const error = gate.refusal(demand, refused);
      lineOf(error.extra.limit, error.extra.scope).inc();
      return error;
    },
  };
}
