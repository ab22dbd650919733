import type { Result } from './run-scenario.ts';

/** What many schedules came to together. */
export interface Summary {
  readonly schedules: number;
  readonly calls: number;
  readonly answered: number;
  /** Streams that had begun when their provider broke: they cannot be repaired, but they ended well. */
  readonly brokenWell: number;
  readonly left: number;
  readonly notRepeated: number;
  readonly failed: number;
  /** Of the calls that somebody could have answered. */
  readonly successPercent: number;
  readonly retries: number;
  readonly retryPercent: number;
  /** The schedule with the most retries for its calls. */
  readonly worstRetryPercent: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly rows: number;
  readonly violations: number;
  readonly passed: boolean;
  readonly line: string;
}

export function summaryOf(results: readonly Result[]): Summary {
  const sum = (of: (result: Result) => number) => results.reduce((total, result) => total + of(result), 0);
  const calls = sum((result) => result.calls);
  const failed = sum((result) => result.failed);
  const retries = sum((result) => result.retries);
  const violations = sum((result) => result.violations.length);
  const successPercent = percent(calls - failed, calls);
  const retryPercent = percent(retries, calls);
  const faults: Record<string, number> = {};
  for (const result of results) {
    for (const [kind, times] of Object.entries(result.faults)) faults[kind] = (faults[kind] ?? 0) + times;
  }
  const passed = successPercent >= 99.9 && retryPercent <= 20 && violations === 0;
  return {
    schedules: results.length,
    calls,
    answered: sum((result) => result.answered),
    brokenWell: sum((result) => result.brokenWell),
    left: sum((result) => result.left),
    notRepeated: sum((result) => result.notRepeated),
    failed,
    successPercent,
    retries,
    retryPercent,
    worstRetryPercent: Math.max(0, ...results.map((result) => percent(result.retries, result.calls))),
    faults,
    rows: sum((result) => result.rows),
    violations,
    passed,
    line: `${results.length} schedules, ${calls} calls: ${successPercent} % succeeded (${failed} failed), ${retryPercent} % retries, ${violations} violations`,
  };
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 100_000) / 1_000;
}
