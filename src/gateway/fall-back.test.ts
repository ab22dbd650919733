import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { ModelPath } from '../../test/harness/model-path.ts';
import { gathered, hello, modelPathSuite, onlyRow, post } from '../../test/harness/model-path-suite.ts';
import { startRawUpstream } from '../../test/harness/raw-upstream.ts';

const { simulator, start, upstream, providerUrl, lastCall } = modelPathSuite();
const clientOf = (path: ModelPath) =>
  new OpenAI({ apiKey: 'gh_test', baseURL: `${path.url}/v1`, maxRetries: 0 });

describe('falling back', () => {
  const twoTiers = {
    fast: [[{ provider: 'bad', model: 'gpt-4o' }], [{ provider: 'sim', model: 'gpt-4o-mini' }]],
  };
  const faults: Record<string, Parameters<typeof startRawUpstream>[0]> = {
    'a failure': (response) => response.writeHead(500).end('{}'),
    'a limit': (response) => response.writeHead(429, { 'retry-after': '7' }).end('{}'),
    'a refused credential': (response) => response.writeHead(401).end('{}'),
    'a broken connection': (response) => response.destroy(),
    'half a reply': (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
      response.write('{"usage"');
      response.destroy();
    },
    'something that is no reply': (response) => response.writeHead(200).end('{"choices": oops'),
    'a reply that does not come': () => {},
    'a redirect': (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    'a stream that ends before it began': (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end();
    },
  };

  it.each(Object.keys(faults))('hides %s while there is another target, streamed or not', async (name) => {
    const bad = await upstream(faults[name] ?? (() => {}));
    const path = await start({
      providers: { bad: bad.url, sim: providerUrl() },
      routes: twoTiers,
      timeouts: { firstTokenMs: 150 },
    });
    const whole = await post(path, hello);
    expect(whole.status).toBe(200);
    expect(whole.headers.get('x-gatehouse-generated-by')).toBe(
      'tier=secondary; provider=sim; model=gpt-4o-mini',
    );
    const streamed = await post(path, { ...hello, stream: true });
    expect(await streamed.text()).toMatch(/data: \[DONE\]\n\n$/);
    const rows = await path.ledger();
    const final = rows.filter((row) => row.final);
    // A limit keeps the second call from trying at all.
    const attempts = name === 'a limit' ? [2, 1] : [2, 2];
    expect(final.map((row) => [row.status, row.tier, row.provider, row.attempt])).toEqual(
      attempts.map((attempt) => ['ok', 'secondary', 'sim', attempt]),
    );
    const earlier = rows.filter((row) => !row.final);
    expect(earlier.map((row) => [row.call_id, row.provider, row.attempt])).toEqual(
      final.filter((row) => row.attempt === 2).map((row) => [row.id, 'bad', 1]),
    );
  });

  it('does not try another target with a request that was refused for what it is', async () => {
    let calls = 0;
    const bad = await upstream((response) => {
      calls++;
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{"message":"no"}}');
    });
    const path = await start({ providers: { bad: bad.url, sim: providerUrl() }, routes: twoTiers });
    expect((await post(path, hello)).status).toBe(400);
    expect(calls).toBe(1);
    expect(simulator.calls()).toEqual([]);
  });

  it('ends with the last target’s failure', async () => {
    const refused = await startRawUpstream(() => {});
    await refused.stop();
    const path = await start({ providers: { bad: refused.url, sim: providerUrl() }, routes: twoTiers });
    simulator.setFault({ kind: 'unavailable' });
    const response = await post(path, hello);
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'upstream_failed', type: 'api_error' } });
    // Three rounds; of the refused connections nothing reached a provider.
    const rows = await path.ledger();
    expect(rows.map((row) => [row.provider, row.attempt, row.final, row.error_code])).toEqual([
      ['sim', 2, false, 'upstream_503'],
      ['sim', 4, false, 'upstream_503'],
      ['sim', 6, true, 'upstream_failed'],
    ]);
  });

  it('passes a limit on with the time to wait when nobody else can answer', async () => {
    const path = await start();
    simulator.setFault({ kind: 'rate-limited', retryAfterS: 31 });
    const response = await post(path, hello);
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('31');
    // The next one is told the same without bothering the provider.
    const next = await post(path, hello);
    expect(next.status).toBe(429);
    expect(Number(next.headers.get('retry-after'))).toBeGreaterThan(25);
    expect(await next.json()).toMatchObject({ error: { code: 'rate_limited' } });
    expect(simulator.calls()).toHaveLength(1);
  });
});

describe('a stream that breaks before anything of the answer', () => {
  const opening = 'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n';
  const heads: Record<string, string> = {
    'goes silent': `${opening}: at work\n\n`,
    'is cut': opening,
    'ends with an error': `${opening}data: {"error":{"message":"out of memory"}}\n\n`,
    'cannot be read': `${opening}data: {"choices":[{"delta":{"content":"\n\n`,
  };

  it.each(Object.keys(heads))('is taken over by another target when it %s', async (name) => {
    const bad = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(heads[name]);
      if (name === 'is cut') setImmediate(() => response.destroy());
      else if (name !== 'goes silent') response.end();
    });
    const path = await start({
      providers: { bad: bad.url, sim: providerUrl() },
      routes: { fast: [[{ provider: 'bad', model: 'gpt-4o' }], [{ provider: 'sim', model: 'gpt-4o-mini' }]] },
      timeouts: { firstTokenMs: 150 },
    });
    const response = await post(path, { ...hello, stream: true });
    expect(response.headers.get('x-gatehouse-generated-by')).toContain('provider=sim');
    const text = await response.text();
    expect(text.match(/"role":"assistant"/g)).toHaveLength(1);
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
  });

  it('is a plain error with the provider’s words when there is no other', async () => {
    const bad = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(heads['ends with an error']);
    });
    const path = await start({ providers: { sim: bad.url } });
    const response = await post(path, { ...hello, stream: true });
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({
      error: { code: 'upstream_failed', message: expect.stringContaining('out of memory') },
    });
  });

  it('leaves as it came, role and all, when the answer begins', async () => {
    const all = `${opening}: at work\n\ndata: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`;
    const raw = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(all);
    });
    const path = await start({ providers: { sim: raw.url } });
    expect(await (await post(path, { ...hello, stream: true })).text()).toBe(all);
  });
});

describe('a stream that breaks after its first byte', () => {
  it.each([
    ['cut-mid-stream', 'error', 'upstream_failed'],
    ['hang-mid-stream', 'timeout', 'upstream_timeout'],
  ] as const)('ends with an error that clients understand: %s', async (kind, status, code) => {
    const path = await start({ timeouts: { idleMs: 200 } });
    simulator.setFault({ kind, afterChunks: 3 });
    const stream = await clientOf(path).chat.completions.create({ ...hello, stream: true });
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const chunk of stream) seen.push(chunk);
    })();
    await expect(reading).rejects.toMatchObject({ error: { code, correlation_id: expect.any(String) } });
    expect(seen.length).toBeGreaterThan(0);
    const row = await onlyRow(path);
    expect(row).toMatchObject({ status, error_code: code, estimated: true, raw_usage: null, attempts: 1 });
    expect(row?.output_tokens).toBe(3);
    expect(row?.input_tokens).toBeGreaterThan(0);
  });

  it('says no more than the provider did when that ended with an error of its own', async () => {
    const chunk = 'data: {"choices":[{"delta":{"content":"so"}}]}\n\n';
    const error = 'data: {"error":{"message":"out of memory","code":"oom"}}\n\n';
    const raw = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(chunk + error);
    });
    const path = await start({ providers: { sim: raw.url } });
    expect(await (await post(path, { ...hello, stream: true })).text()).toBe(chunk + error);
    expect(await onlyRow(path)).toMatchObject({ status: 'error', error_code: 'upstream_failed' });
  });

  it('is whole without an end mark when the model gave its reason to stop', async () => {
    const path = await start();
    simulator.setFault({ kind: 'missing-done' });
    const chunks = await gathered(await clientOf(path).chat.completions.create({ ...hello, stream: true }));
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop');
    expect(await onlyRow(path)).toMatchObject({ status: 'ok', estimated: false });
  });
});

describe('usage that the provider does not tell', () => {
  it.each([true, false])('is estimated and marked so (stream: %s)', async (stream) => {
    const path = await start();
    simulator.setFault({ kind: 'no-usage' });
    await (await post(path, { ...hello, stream })).text();
    const row = await onlyRow(path);
    expect(row).toMatchObject({ status: 'ok', estimated: true, raw_usage: null, pricing_state: 'priced' });
    const billed = lastCall()?.billed as { prompt_tokens: number; completion_tokens: number };
    // The simulator counts words, the estimate a quarter of the letters: near, not equal.
    expect(Number(row?.output_tokens) / billed.completion_tokens).toBeGreaterThan(0.5);
    expect(Number(row?.output_tokens) / billed.completion_tokens).toBeLessThan(2);
    expect(row?.input_tokens).toBeGreaterThan(0);
  });
});
