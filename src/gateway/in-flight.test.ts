import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Cancellation } from './cancellation.ts';
import { createInFlight, type Reservation } from './in-flight.ts';

const bounds = { callsPerTenant: 3, calls: 5, requestBytes: 1_000 };
const setUp = () => {
  let nowMs = 0;
  const inFlight = createInFlight({ bounds, clock: { monotonicMs: () => nowMs } });
  return { inFlight, pass: (ms: number) => (nowMs += ms) };
};

describe('calls in flight', () => {
  it('never pass a bound, and what ended is given back, whatever the order', () => {
    const command = fc.oneof(
      fc.record({ tenantId: fc.constantFrom('a', 'b', 'c'), requestBytes: fc.integer({ min: 0, max: 400 }) }),
      fc.nat(),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const { inFlight } = setUp();
        const held: { tenantId: string; requestBytes: number; reservation: Reservation }[] = [];
        const bytes = () => held.reduce((total, hold) => total + hold.requestBytes, 0);
        for (const given of commands) {
          if (typeof given === 'number') {
            const [ended] = held.splice(given % Math.max(1, held.length), 1);
            // Released twice, as a careless caller might: it counts once.
            ended?.reservation.release();
            ended?.reservation.release();
          } else {
            const ofTenant = held.filter((hold) => hold.tenantId === given.tenantId).length;
            const fits =
              held.length < bounds.calls &&
              ofTenant < bounds.callsPerTenant &&
              bytes() + given.requestBytes <= bounds.requestBytes;
            const reserve = () =>
              inFlight.reserve({ ...given, totalMs: 100, cancellation: new Cancellation() });
            if (fits) held.push({ ...given, reservation: reserve() });
            else
              expect(reserve).toThrow(expect.objectContaining({ code: 'overloaded', retryAfterSeconds: 1 }));
          }
          expect(inFlight.calls()).toBe(held.length);
        }
      }),
    );
  });

  it('are ended when their time is up, and not before', () => {
    const { inFlight, pass } = setUp();
    const reserve = () => {
      const cancellation = new Cancellation();
      inFlight.reserve({ tenantId: 'a', requestBytes: 0, totalMs: 100, cancellation });
      return cancellation;
    };
    const first = reserve();
    pass(60);
    const second = reserve();
    pass(39);
    inFlight.endOverdue();
    expect([first.reason, second.reason]).toEqual([null, null]);
    pass(1);
    inFlight.endOverdue();
    expect([first.reason, second.reason]).toEqual(['timeout', null]);
    inFlight.endAll('stopping');
    expect([first.reason, second.reason]).toEqual(['timeout', 'stopping']);
  });
});
