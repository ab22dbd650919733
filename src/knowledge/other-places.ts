import type { Clock } from '../platform/clock.ts';

/** The indexes of other instances, each on its own data directory. */
export interface OtherPlaces {
  /**
   * Resolves when every other instance that lives has in its index what changed of the document before the call, or has it
   * removed and found gone; or when that takes too long.
   * @returns how many have not.
   */
  haveTaken(documentId: string): Promise<number>;
}

/** An instance that is this slow, or just started and is building its index, keeps nobody waiting for longer. */
const patienceMs = 5_000;
const lookEveryMs = 200;

/** What there is with one instance. */
export const noOtherPlaces: OtherPlaces = { haveTaken: async () => 0 };

export function createOtherPlaces(deps: {
  /** Places of the other instances that live. */
  readonly living: () => readonly string[];
  readonly withoutChangesOf: (documentId: string, places: readonly string[]) => Promise<readonly string[]>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
}): OtherPlaces {
  const { clock } = deps;
  return {
    async haveTaken(documentId) {
      const until = clock.monotonicMs() + patienceMs;
      for (;;) {
        const living = deps.living();
        if (living.length === 0) return 0;
        const waiting = await deps.withoutChangesOf(documentId, living);
        if (waiting.length === 0 || clock.monotonicMs() >= until) return waiting.length;
        await clock.sleep(lookEveryMs);
      }
    },
  };
}
