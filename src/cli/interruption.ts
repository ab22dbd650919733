import { exitCodes } from './command.ts';
import { createStopSignal } from './stop-signal.ts';

/**
 * @returns a function that, when first called, begins to listen for Ctrl-C and SIGTERM and gives the signal that
 * aborts on the first. The second one ends the process at once.
 */
export function createInterruption(): () => AbortSignal {
  let signal: AbortSignal | null = null;
  return () => {
    if (signal === null) {
      const controller = new AbortController();
      const stop = createStopSignal();
      void stop.requested.then(() => controller.abort(new Interrupted()));
      void stop.again.then(() => process.exit(exitCodes.interrupted));
      signal = controller.signal;
    }
    return signal;
  };
}

/** What work rejects with that Ctrl-C cut short. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  constructor() {
    super('Interrupted.');
  }
}
