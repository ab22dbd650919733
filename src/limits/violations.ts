import { createCounter } from '../platform/counter.ts';
import type { Metrics } from '../platform/metrics.ts';

/** Limits and scopes are few; were they not, the rest would share one line. */
const maxLines = 100;

/** Counts refusals by limit and scope. Whose they were is in the log, not in a label. */
export function createViolationCount(registry: Metrics): (limit: string, scope: string) => void {
  const violations = createCounter(registry, {
    name: 'rate_limit_violations_total',
    help: 'Requests and calls that were refused by a limit',
  });
  const others = violations.series({ limit: 'other', scope: 'other' });
  const lines = new Map<string, { inc(): void }>();
  const lineOf = (limit: string, scope: string): { inc(): void } => {
    const name = `${limit} ${scope}`;
    const known = lines.get(name);
    if (known) return known;
    if (lines.size >= maxLines) return others;
    const line = violations.series({ limit, scope });
    lines.set(name, line);
    return line;
  };

  return (limit, scope) => lineOf(limit, scope).inc();
}
