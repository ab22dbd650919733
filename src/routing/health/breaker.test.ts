import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Breaker, type BreakerPass, type BreakerState } from './breaker.ts';

const rules = { failures: 5, openMs: 60_000 };

function breakerOf() {
  const states: BreakerState[] = [];
  const breaker = new Breaker(rules, (to) => states.push(to));
  const fail = (nowMs: number) => breaker.failed(breaker.enter(nowMs), nowMs);
  return { breaker, states, fail };
}

describe('a circuit breaker', () => {
  it('opens at the fifth failure in a row, not at five with a success among them', () => {
    const { breaker, fail } = breakerOf();
    for (let n = 0; n < 4; n++) fail(0);
    breaker.succeeded(breaker.enter(0), 0);
    for (let n = 0; n < 4; n++) fail(0);
    expect(breaker.stateAt(0)).toBe('closed');
    fail(0);
    expect(breaker.stateAt(0)).toBe('open');
    expect(breaker.admits(59_999)).toBe(false);
    expect(breaker.admits(60_000)).toBe(true);
  });

  it('lets one call through as a probe, which closes it or opens it again', () => {
    const { breaker, states, fail } = breakerOf();
    for (let n = 0; n < 5; n++) fail(0);
    const probe = breaker.enter(60_000);
    expect(probe.probe).toBe(true);
    expect(breaker.admits(60_000)).toBe(false);
    breaker.failed(probe, 61_000);
    expect(breaker.openUntilMs).toBe(121_000);
    breaker.succeeded(breaker.enter(121_000), 121_000);
    expect(breaker.stateAt(121_000)).toBe('closed');
    expect(states).toEqual(['open', 'half_open', 'open', 'half_open', 'closed']);
  });

  it('takes the next call for the probe when the first one showed nothing', () => {
    const { breaker, fail } = breakerOf();
    for (let n = 0; n < 5; n++) fail(0);
    breaker.abandoned(breaker.enter(60_000));
    expect(breaker.admits(60_000)).toBe(true);
    expect(breaker.enter(60_000).probe).toBe(true);
  });

  it('is opened for exactly the time that a provider names, and then needs no probe', () => {
    const { breaker, states } = breakerOf();
    breaker.openFor(7_000, 1_000, true);
    expect(breaker.admits(7_999)).toBe(false);
    expect(breaker.stateAt(8_000)).toBe('closed');
    const passes = [breaker.enter(8_000), breaker.enter(8_000)];
    expect(passes.map(({ probe }) => probe)).toEqual([false, false]);
    expect(states).toEqual(['open', 'closed']);
  });

  it('does not listen to calls that began before it opened', () => {
    const { breaker, fail } = breakerOf();
    const early = breaker.enter(0);
    for (let n = 0; n < 5; n++) fail(0);
    breaker.succeeded(early, 1);
    expect(breaker.stateAt(1)).toBe('open');
  });

  it('never lets two probes through, never loses the way back, whatever happens in whatever order', () => {
    const step = fc.record({
      afterMs: fc.integer({ min: 0, max: 40_000 }),
      what: fc.constantFrom('enter', 'succeed', 'fail', 'abandon', 'limit', 'close'),
      which: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { breaker } = breakerOf();
        let nowMs = 0;
        const open: BreakerPass[] = [];
        for (const { afterMs, what, which } of steps) {
          nowMs += afterMs;
          if (what === 'enter') {
            if (!breaker.admits(nowMs)) continue;
            const underWay = breaker.stateAt(nowMs) === 'half_open';
            const pass = breaker.enter(nowMs);
            expect(pass.probe).toBe(underWay);
            if (pass.probe) expect(breaker.admits(nowMs)).toBe(false);
            open.push(pass);
          } else if (what === 'limit') breaker.openFor(1 + (which % 50_000), nowMs, true);
          else if (what === 'close') breaker.close(nowMs);
          else {
            const [pass] = open.splice(which % Math.max(1, open.length), 1);
            if (!pass) continue;
            if (what === 'succeed') breaker.succeeded(pass, nowMs);
            else if (what === 'fail') breaker.failed(pass, nowMs);
            else breaker.abandoned(pass);
          }
        }
        // Once every call has ended and the time is over, somebody gets through, and a success closes it.
        for (const pass of open) breaker.abandoned(pass);
        nowMs += 100_000;
        expect(breaker.admits(nowMs)).toBe(true);
        breaker.succeeded(breaker.enter(nowMs), nowMs);
        expect(breaker.stateAt(nowMs)).toBe('closed');
      }),
    );
  });
});
