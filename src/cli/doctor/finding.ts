import type { Clock } from '../../platform/clock.ts';

/** What a check found. Whatever is not well comes with what to do about it. */
export type Finding = {
  /** What was looked at, in a word or two. */
  readonly check: string;
  readonly detail: string;
} & (
  | { readonly status: 'ok' | 'skipped'; readonly remedy?: never }
  | { readonly status: 'warning' | 'problem'; readonly remedy: string }
);

/** One thing that `doctor` looks at. It changes nothing, and its findings hold no secret. */
export interface Check<Facts> {
  readonly name: string;
  run(facts: Facts): Promise<readonly Finding[]>;
}

export const ok = (check: string, detail: string): Finding => ({ check, status: 'ok', detail });
export const skipped = (check: string, detail: string): Finding => ({ check, status: 'skipped', detail });
export const warning = (check: string, detail: string, remedy: string): Finding => ({
  check,
  status: 'warning',
  detail,
  remedy,
});
export const problem = (check: string, detail: string, remedy: string): Finding => ({
  check,
  status: 'problem',
  detail,
  remedy,
});

/** A check that has said nothing by then is reported instead of waited for. */
export const checkBoundMs = 15_000;

/** Runs all checks side by side, each within its bound. @returns their findings in the order of the checks. */
export async function runChecks<Facts>(
  checks: readonly Check<Facts>[],
  facts: Facts,
  clock: Pick<Clock, 'sleep'>,
): Promise<Finding[]> {
  const found = await Promise.all(checks.map((check) => runOne(check, facts, clock)));
  return found.flat();
}

async function runOne<Facts>(
  check: Check<Facts>,
  facts: Facts,
  clock: Pick<Clock, 'sleep'>,
): Promise<readonly Finding[]> {
  const finished = new AbortController();
  const late = clock.sleep(checkBoundMs, finished.signal).then(
    () => [
      problem(
        check.name,
        `could not be told within ${checkBoundMs / 1000} seconds`,
        'The machine or what the check asks is very slow, or hangs. Look at its load and disks, then run doctor again.',
      ),
    ],
    () => [],
  );
  try {
    return await Promise.race([check.run(facts), late]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [problem(check.name, `could not be checked: ${why}`, 'Please report this with the message.')];
  } finally {
    finished.abort();
  }
}
