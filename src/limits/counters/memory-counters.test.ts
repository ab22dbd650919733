import { describe, it } from 'vitest';
import { checkAgainstModel, type DrivenTime } from '../../../test/harness/counters/check-against-model.ts';
import { createMemoryCounters } from './memory-counters.ts';

const clockOf = (time: DrivenTime) => ({ now: () => new Date(time.now()), monotonicMs: time.monotonicMs });
const hour = 3_600_000;

describe('counters in process', () => {
  it('decide as the reference model does, in 10,000 random schedules with clocks that are set and restarts', async () => {
    await checkAgainstModel(
      (time, world) => ({
        // In the steady world idle counters are forgotten at once, which must change nothing.
        process: (writer) => ({
          counters: createMemoryCounters({
            clock: clockOf(time),
            writer,
            keepIdleMs: world === 'steady' ? 0 : 24 * hour,
          }),
        }),
        close: () => {},
      }),
      { shared: false, runs: 10_000 },
    );
  }, 120_000);
});
