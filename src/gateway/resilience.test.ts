import { describe, expect, it } from 'vitest';
import { hello, modelPathSuite, post } from '../../test/harness/model-path-suite.ts';
import { systemClock } from '../platform/clock.ts';

const { simulator, start, upstream, providerUrl } = modelPathSuite();

/** The system's clock, which also notes how long was slept for, and sleeps little. */
function impatientClock() {
  const slept: number[] = [];
  const clock = {
    ...systemClock,
    sleep: (ms: number, signal?: AbortSignal) => {
      if (ms !== watchIntervalMs) slept.push(ms);
      return systemClock.sleep(Math.min(ms, 5), signal);
    },
  };
  return { clock, slept };
}
/** How often the gateway looks at its calls; the ledger's writer waits for 50 ms. */
const watchIntervalMs = 250;
const backoffs = (slept: readonly number[]) => slept.filter((ms) => ms !== 50 && ms !== 2_000);

const primaryAndOther = {
  fast: [[{ provider: 'bad', model: 'gpt-4o' }], [{ provider: 'sim', model: 'gpt-4o-mini' }]],
};

describe('one target', () => {
  it('is tried three times, after pauses that grow and may be anything up to their bound', async () => {
    const { clock, slept } = impatientClock();
    const path = await start({ clock });
    simulator.setFault({ kind: 'server-error' });
    expect((await post(path, hello)).status).toBe(502);
    expect(simulator.calls()).toHaveLength(3);
    const [first, second, ...more] = backoffs(slept);
    expect(first).toBeLessThan(100);
    expect(second).toBeLessThan(200);
    expect(more).toEqual([]);
  });

  it('answers after a failure without anybody noticing, and the failure is a row', async () => {
    const path = await start();
    simulator.setFault({ kind: 'server-error', times: 1 });
    expect((await post(path, hello)).status).toBe(200);
    const rows = await path.ledger();
    expect(
      rows.map(({ attempt, final, status, error_code }) => [attempt, final, status, error_code]),
    ).toEqual([
      [1, false, 'error', 'upstream_500'],
      [2, true, 'ok', null],
    ]);
    expect(rows[0]).toMatchObject({ call_id: rows[1]?.id, cost_nano_usd: '0', estimated: false });
    expect(rows[0]?.id).not.toBe(rows[1]?.id);
  });

  it('is waited for as long as it asks for', async () => {
    const { clock, slept } = impatientClock();
    const path = await start({ clock });
    simulator.setFault({ kind: 'rate-limited', retryAfterS: 2, times: 1 });
    // The limit is not over when the short sleep is, so that the call ends with it.
    expect((await post(path, hello)).status).toBe(429);
    const [waited] = backoffs(slept);
    expect(waited).toBeGreaterThan(1_500);
    expect(waited).toBeLessThanOrEqual(2_000);
  });

  it('is not waited for beyond what the call has left', async () => {
    const { clock, slept } = impatientClock();
    const path = await start({ clock, timeouts: { totalMs: 1_500 } });
    simulator.setFault({ kind: 'rate-limited', retryAfterS: 2 });
    const response = await post(path, hello);
    expect(response.status).toBe(429);
    expect(backoffs(slept)).toEqual([]);
  });

  it('is left alone when its client leaves during a pause', async () => {
    const path = await start();
    simulator.setFault({ kind: 'rate-limited', retryAfterS: 5 });
    const leaving = new AbortController();
    const reply = post(path, hello, {}, leaving.signal);
    await simulator.waitForCall((call) => call.fault === 'rate-limited' && call.endedAt !== null);
    leaving.abort();
    await expect(reply).rejects.toThrow();
    await expect.poll(async () => (await path.ledger()).length).toBe(1);
    expect((await path.ledger())[0]).toMatchObject({
      status: 'aborted',
      error_code: 'client_gone',
      attempt: 1,
    });
    expect(simulator.calls()).toHaveLength(1);
  });

  it('is refused at once while its breaker is open, and tried again after', async () => {
    let skippedMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + skippedMs };
    const path = await start({ clock });
    simulator.setFault({ kind: 'server-error' });
    for (let n = 0; n < 2; n++) await post(path, hello);
    expect(simulator.calls()).toHaveLength(5);
    const refused = await post(path, hello);
    expect(refused.status).toBe(502);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(55);
    expect(await refused.json()).toMatchObject({ error: { code: 'upstream_failed' } });
    expect(simulator.calls()).toHaveLength(5);
    simulator.setFault(null);
    skippedMs = 60_000;
    expect((await post(path, hello)).status).toBe(200);
    const text = await path.metrics.metrics();
    expect(text).toContain('gatehouse_breaker_state{provider="sim",model="gpt-4o-mini"} 0');
    expect(text).toContain(
      'gatehouse_breaker_transitions_total{provider="sim",model="gpt-4o-mini",to="half_open"} 1',
    );
    expect(text).toMatch(
      /gatehouse_retries_total\{provider="sim",model="gpt-4o-mini",reason="server_error"\} 3/,
    );
  });
});

describe('several targets', () => {
  it('take over from each other without a pause, and the one that fails is left out in the end', async () => {
    const { clock, slept } = impatientClock();
    let asked = 0;
    const bad = await upstream((response) => {
      asked++;
      response.writeHead(500).end('{}');
    });
    const path = await start({
      clock,
      providers: { bad: bad.url, sim: providerUrl() },
      routes: primaryAndOther,
    });
    for (let n = 0; n < 20; n++) expect((await post(path, hello)).status).toBe(200);
    expect(asked).toBe(5);
    expect(backoffs(slept)).toEqual([]);
    expect(await path.metrics.metrics()).toContain(
      'gatehouse_fallbacks_total{provider="sim",model="gpt-4o-mini"} 5',
    );
  });

  it('come in another order while one fails more often than retries can carry', async () => {
    let asked = 0;
    const bad = await upstream((response) => {
      // Never twice in a row, so that no breaker opens.
      if (asked++ % 2 === 0) response.writeHead(500).end('{}');
      else response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":[]}');
    });
    const path = await start({
      providers: { bad: bad.url, sim: providerUrl() },
      routes: primaryAndOther,
    });
    for (let n = 0; n < 50; n++) expect((await post(path, hello)).status).toBe(200);
    expect(asked).toBe(9);
  });

  it('are all that is left when the budget is spent: what fails lately comes last', async () => {
    let asked = 0;
    const bad = await upstream((response) => {
      asked++;
      response.writeHead(500).end('{}');
    });
    const path = await start({
      providers: { bad: bad.url, sim: providerUrl() },
      routes: primaryAndOther,
      retryBudget: { least: 1 },
    });
    for (let n = 0; n < 9; n++) expect((await post(path, hello)).status).toBe(200);
    // The budget is one retry and a fifth of the calls so far.
    expect(asked).toBe(2);
  });

  it('are not asked when the first failure leaves no room for a retry', async () => {
    const bad = await upstream((response) => {
      response.writeHead(500).end('{}');
    });
    const path = await start({
      providers: { bad: bad.url, sim: providerUrl() },
      routes: primaryAndOther,
      retryBudget: { least: 0 },
    });
    expect((await post(path, hello)).status).toBe(502);
    expect(simulator.calls()).toEqual([]);
    expect(await path.metrics.metrics()).toContain('gatehouse_retry_budget_spent_total 1');
  });

  it('take over from a provider that is full, which is told when nobody is left', async () => {
    const full = await upstream(() => {});
    const path = await start({
      providers: { bad: { baseUrl: full.url, settings: { maxConcurrent: 1 } }, sim: providerUrl() },
      routes: { ...primaryAndOther, only: [[{ provider: 'bad', model: 'gpt-4o' }]] },
    });
    const leaving = new AbortController();
    const hanging = post(path, hello, {}, leaving.signal).catch(() => null);
    await expect
      .poll(async () => (await post(path, hello)).headers.get('x-gatehouse-generated-by'))
      .toContain('sim');
    const refused = await post(path, { ...hello, model: 'only' });
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ error: { code: 'overloaded' } });
    leaving.abort();
    await hanging;
  });
});

describe('a provider with several keys', () => {
  const keysSeen: (string | undefined)[] = [];
  const startWithKeys = async (refusal: number) => {
    keysSeen.length = 0;
    const raw = await upstream((response, request) => {
      keysSeen.push(request.headers.authorization);
      if (request.headers.authorization === 'Bearer sk-test-good') {
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":[]}');
      } else response.writeHead(refusal).end('{}');
    });
    const keys = [
      { value: 'sk-test-bad', weight: 1_000_000 },
      { value: 'sk-test-good', weight: 0.000001 },
    ];
    return start({
      providers: { bad: { baseUrl: raw.url, keys }, sim: providerUrl() },
      routes: primaryAndOther,
    });
  };

  it.each([401, 403, 429])(
    'tries another one before it is left, when one is refused with %i',
    async (status) => {
      const path = await startWithKeys(status);
      const response = await post(path, hello);
      expect(response.status).toBe(200);
      expect(response.headers.get('x-gatehouse-generated-by')).toContain('provider=bad');
      expect(keysSeen).toEqual(['Bearer sk-test-bad', 'Bearer sk-test-good']);
    },
  );
});

describe('a request that must not be sent twice', () => {
  /** As if the dialect had found a tool that the provider runs by itself. */
  const unrepeatable = { ...hello, background: true };
  const startUnrepeatable = async (answer: Parameters<typeof upstream>[0]) => {
    const bad = await upstream(answer);
    return start({
      providers: { bad: bad.url, sim: providerUrl() },
      routes: primaryAndOther,
      timeouts: { firstTokenMs: 150 },
      hooks: {
        guardInput: async (call) => {
          Object.defineProperty(call.request, 'repeatable', { value: false });
        },
      },
    });
  };

  it.each<[string, Parameters<typeof upstream>[0]]>([
    ['hung', () => {}],
    ['was reset', (response) => response.destroy()],
    ['failed', (response) => response.writeHead(500).end('{}')],
    [
      'was cut in its reply',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
        response.write('{');
        setImmediate(() => response.destroy());
      },
    ],
  ])('goes nowhere else after it %s', async (_how, answer) => {
    const path = await startUnrepeatable(answer);
    expect((await post(path, unrepeatable)).status).toBeGreaterThanOrEqual(500);
    expect(simulator.calls()).toEqual([]);
    expect(await path.ledger()).toHaveLength(1);
  });

  it.each([429, 503, 401])('goes elsewhere when it was surely not worked on: %i', async (status) => {
    const path = await startUnrepeatable((response) => response.writeHead(status).end('{}'));
    expect((await post(path, unrepeatable)).status).toBe(200);
  });
});

describe('a provider’s own timeouts', () => {
  it('go before the gateway’s', async () => {
    const slow = await upstream(() => {});
    const path = await start({
      providers: {
        bad: { baseUrl: slow.url, settings: { timeouts: { firstTokenMs: 30 } } },
        sim: providerUrl(),
      },
      routes: primaryAndOther,
    });
    expect((await post(path, hello)).headers.get('x-gatehouse-generated-by')).toContain('provider=sim');
    const [hung, answered] = await path.ledger();
    expect(hung).toMatchObject({ status: 'timeout', estimated: true, output_tokens: 0, final: false });
    expect(Number(hung?.input_tokens)).toBeGreaterThan(0);
    expect(answered).toMatchObject({ status: 'ok', estimated: false });
  });

  it('end an attempt that takes too long in all, however busy it is', async () => {
    const busy = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const more = () => {
        if (response.destroyed) return;
        response.write(' ');
        setTimeout(more, 5);
      };
      more();
    });
    const path = await start({
      providers: { bad: { baseUrl: busy.url, settings: { timeouts: { totalMs: 100 } } }, sim: providerUrl() },
      routes: primaryAndOther,
    });
    expect((await post(path, hello)).headers.get('x-gatehouse-generated-by')).toContain('provider=sim');
  });
});
