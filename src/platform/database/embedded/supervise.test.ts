import { describe, expect, it } from 'vitest';
import type { Clock } from '../../clock.ts';
import type { RunningServer } from './launch.ts';
import { restartLimit, restartWindowMs, superviseServer } from './supervise.ts';

/** A server that ends when told to. */
function fakeServer() {
  const { promise, resolve } = Promise.withResolvers<string>();
  let trims = 0;
  const server: RunningServer = { pid: 1, exited: promise, trimLog: () => void trims++ };
  return { server, end: resolve, trims: () => trims };
}

/** Sleeps end when `wake` is called or their signal aborts; time moves only by `pass`. */
function fakeClock() {
  let nowMs = 0;
  const sleepers = new Set<() => void>();
  const clock: Clock = {
    now: () => new Date(nowMs),
    monotonicMs: () => nowMs,
    sleep: (_, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        sleepers.add(resolve);
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
  };
  const wake = () => {
    for (const resolve of sleepers) resolve();
    sleepers.clear();
  };
  return { clock, wake, pass: (ms: number) => (nowMs += ms) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

function supervised() {
  const time = fakeClock();
  const first = fakeServer();
  const launched: ReturnType<typeof fakeServer>[] = [];
  const lost: string[] = [];
  let failing = false;
  const end = superviseServer(first.server, {
    clock: time.clock,
    log: { warn: () => {}, error: () => {} },
    onLost: (words) => lost.push(words),
    launch: async () => {
      if (failing) throw new Error('no');
      const next = fakeServer();
      launched.push(next);
      return next.server;
    },
  });
  return { ...time, first, launched, lost, end, failLaunches: () => (failing = true) };
}

describe('superviseServer', () => {
  it('starts a server again that ended by itself', async () => {
    const watched = supervised();
    watched.first.end('killed');
    await turn();
    expect(watched.launched).toHaveLength(1);
    await watched.end();
  });

  it('gives up when the server keeps ending, and says why', async () => {
    const watched = supervised();
    watched.first.end('killed');
    for (let count = 0; count < restartLimit; count++) {
      await turn();
      watched.launched.at(-1)?.end(`killed again ${count}`);
    }
    await turn();
    expect(watched.launched).toHaveLength(restartLimit);
    expect(watched.lost).toEqual([`killed again ${restartLimit - 1}`]);
    await watched.end();
  });

  it('counts only the restarts of the last while', async () => {
    const watched = supervised();
    watched.first.end('killed');
    for (let count = 0; count < 3 * restartLimit; count++) {
      await turn();
      watched.pass(restartWindowMs / 2);
      watched.launched.at(-1)?.end('killed');
    }
    await turn();
    expect(watched.launched).toHaveLength(3 * restartLimit + 1);
    expect(watched.lost).toEqual([]);
    await watched.end();
  });

  it('counts a launch that fails as a restart, with a pause after it', async () => {
    const watched = supervised();
    watched.failLaunches();
    watched.first.end('killed');
    for (let count = 0; count < restartLimit; count++) {
      await turn();
      expect(watched.lost).toEqual([]);
      watched.wake();
    }
    await turn();
    expect(watched.lost).toEqual(['no']);
    await watched.end();
  });

  it('starts nothing after it was ended', async () => {
    const watched = supervised();
    await watched.end();
    watched.first.end('stopped');
    await turn();
    expect(watched.launched).toHaveLength(0);
  });

  it('keeps the log within its bound now and then, until it was ended', async () => {
    const watched = supervised();
    await turn();
    watched.wake();
    await turn();
    expect(watched.first.trims()).toBe(1);
    await watched.end();
    watched.wake();
    await turn();
    expect(watched.first.trims()).toBe(1);
  });
});
