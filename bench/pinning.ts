import { canPin, pin } from './processes.ts';

/** Which core the process under test has to itself, and which all others share; undefined where none can be kept. */
export interface Cores {
  readonly load: number | undefined;
  readonly tested: number | undefined;
}

/** Keeps this process off the core of the process under test. Says so when that cannot be done here. */
export function chooseCores(): Cores {
  if (canPin()) {
    pin(process.pid, 0);
    return { load: 0, tested: 1 };
  }
  process.stdout.write(
    'taskset or a second core is missing: nothing is pinned, the ratios are only a hint.\n',
  );
  return { load: undefined, tested: undefined };
}
