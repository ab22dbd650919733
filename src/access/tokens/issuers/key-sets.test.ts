import { describe, expect, it } from 'vitest';
import { keySetOf, newIssuerKey } from '../../../../test/harness/token-issuer.ts';
import { createLog } from '../../../platform/log.ts';
import { askAgainMs, askFirstAfterMs, createKeySet, refreshAfterMs, staleAfterMs } from './key-sets.ts';

const [first, second] = [newIssuerKey('EdDSA'), newIssuerKey('EdDSA')];

/** An issuer whose answers are let out one by one, and a clock that stands still. */
function scene() {
  let atMs = 1_000_000;
  let published = keySetOf([first]);
  let status = 200;
  let held: (() => void)[] | null = null;
  let asked = 0;
  const set = createKeySet(
    { issuer: 'https://issuer.example', jwksUri: 'https://issuer.example/jwks' },
    {
      fetch: async () => {
        asked++;
        if (held !== null) await new Promise<void>((resolve) => held?.push(resolve));
        return new Response(published, { status });
      },
      clock: { now: () => new Date(atMs), monotonicMs: () => atMs },
      log: createLog('silent'),
    },
  );
  return {
    set,
    asked: () => asked,
    pass: (ms: number) => {
      atMs += ms;
    },
    publish: (text: string) => {
      published = text;
    },
    answer: (code: number) => {
      status = code;
    },
    hold: () => {
      held = [];
    },
    letGo: () => {
      for (const go of held ?? []) go();
      held = null;
    },
    /** Whatever was begun beside has come to its end. */
    settled: () => new Promise((resolve) => setImmediate(resolve)),
    ids: async (kid: string | null = first.kid) => (await set.find('EdDSA', kid)).map((key) => key.kid),
  };
}

describe('keys of an issuer', () => {
  it('are asked for once by all who come first, and then known without waiting', async () => {
    const { set, asked, ids, hold, letGo } = scene();
    hold();
    const waiting = [ids(), ids(), ids()];
    letGo();
    expect(await Promise.all(waiting)).toEqual([[first.kid], [first.kid], [first.kid]]);
    expect(asked()).toBe(1);
    expect(set.find('EdDSA', first.kid)).not.toBeInstanceOf(Promise);
  });

  it('are asked for again for an id that is not known, and not more often than is allowed', async () => {
    const { set, asked, ids, pass, publish } = scene();
    await ids();
    publish(keySetOf([first, second]));
    expect(set.find('EdDSA', second.kid)).toEqual([]);
    pass(askAgainMs);
    expect(await ids(second.kid)).toEqual([second.kid]);
    expect(await ids('no such')).toEqual([]);
    expect(asked()).toBe(2);
  });

  it('are renewed beside the work that uses them', async () => {
    const { set, asked, ids, pass, publish, settled } = scene();
    await ids();
    const { version } = set;
    pass(refreshAfterMs + 1);
    publish(keySetOf([second]));
    expect(set.holds(version)).toBe(true);
    await settled();
    expect(asked()).toBe(2);
    expect(set.holds(version)).toBe(false);
    expect(set.find('EdDSA', first.kid)).toEqual([]);
    expect(await ids(second.kid)).toEqual([second.kid]);
  });

  it('that lay unused are asked for before they are believed', async () => {
    const { set, ids, pass, publish } = scene();
    await ids();
    const { version } = set;
    publish(keySetOf([second]));
    pass(askFirstAfterMs + 1);
    expect(set.holds(version)).toBe(false);
    expect(await ids()).toEqual([]);
  });

  it('are believed for a while when the issuer fails, without anybody waiting for it, and then no longer', async () => {
    const { set, ids, pass, answer, hold, letGo, settled, asked } = scene();
    await ids();
    const { version } = set;
    answer(503);
    pass(askFirstAfterMs + 1);
    expect(await ids()).toEqual([first.kid]);
    expect(set.state()).toMatchObject({ problem: 'the answer was 503', keys: 1 });
    hold();
    pass(askAgainMs);
    expect(set.holds(version)).toBe(true);
    expect(set.find('EdDSA', first.kid)).toHaveLength(1);
    expect(asked()).toBe(3);
    letGo();
    await settled();
    pass(staleAfterMs - askFirstAfterMs - askAgainMs);
    expect(set.holds(version)).toBe(false);
    expect(await ids()).toEqual([]);
    answer(200);
    pass(askAgainMs);
    expect(await ids()).toEqual([first.kid]);
    expect(set.state().problem).toBeNull();
    // The same keys as before, so what was verified with them still is.
    expect(set.holds(version)).toBe(true);
  });

  it('are none when the issuer never told any, and it is not asked for each token', async () => {
    const { answer, ids, asked, pass } = scene();
    answer(404);
    expect(await ids()).toEqual([]);
    expect(await ids()).toEqual([]);
    expect(asked()).toBe(1);
    pass(askAgainMs);
    expect(await ids()).toEqual([]);
    expect(asked()).toBe(2);
  });

  it('have to be named where there are several', async () => {
    const { ids, publish } = scene();
    expect(await ids(null)).toEqual([first.kid]);
    const both = scene();
    both.publish(keySetOf([first, second]));
    expect(await both.ids(null)).toEqual([]);
    publish('');
  });
});
