import OpenAI from 'openai';
import { afterEach, expect, test, vi } from 'vitest';
import type { FaultInput } from './faults.ts';
import type { SimulatorOptions } from './options.ts';
import { createSimulator, type Simulator } from './server.ts';

const running: Simulator[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((simulator) => simulator.stop()));
});

async function started(options: Partial<SimulatorOptions> = {}) {
  const simulator = createSimulator({ seed: 7, ...options });
  running.push(simulator);
  const { url } = await simulator.start();
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-test-simulator', maxRetries: 0 });
  return { simulator, url, client };
}

const asked = {
  model: 'gpt-4o-mini',
  messages: [{ role: 'user' as const, content: 'Tell me about the harbour.' }],
};
const streamed = { ...asked, stream: true as const, stream_options: { include_usage: true } };

/** The raw body of a streamed answer, as far as it came, and whether the connection broke. */
async function rawStream(url: string, signal?: AbortSignal): Promise<{ text: string; broke: boolean }> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify(streamed),
    ...(signal && { signal }),
  });
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
    return { text, broke: false };
  } catch {
    return { text, broke: true };
  }
}

test.each([
  ['rate-limited', 429, 'rate_limit_exceeded'],
  ['server-error', 500, null],
  ['unavailable', 503, null],
] as const)('%s answers %i in the shape of the API', async (kind, status, code) => {
  const { simulator, client } = await started();
  simulator.setFault({ kind, ...(kind === 'rate-limited' && { retryAfterS: 7 }) });
  const refused = await client.chat.completions.create(asked).catch((error: unknown) => error);
  expect(refused).toMatchObject({ status, code });
  expect((refused as InstanceType<typeof OpenAI.APIError>).headers?.get('retry-after')).toBe(
    status === 429 ? '7' : null,
  );
  expect(simulator.calls()[0]).toMatchObject({ status, fault: kind, usage: null, billed: null });
});

test('html-error is a page, not JSON', async () => {
  const { simulator, url } = await started();
  simulator.setFault({ kind: 'html-error' });
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(asked) });
  expect([response.status, response.headers.get('content-type')]).toEqual([502, 'text/html; charset=utf-8']);
  expect(await response.text()).toContain('<!doctype html>');
});

test('reset-before-headers breaks the connection without an answer', async () => {
  const { simulator, client } = await started();
  simulator.setFault({ kind: 'reset-before-headers' });
  await expect(client.chat.completions.create(asked)).rejects.toThrow('Connection error');
  const call = await simulator.waitForCall(({ endedAt }) => endedAt !== null);
  expect(call).toMatchObject({ status: null, aborted: false, fault: 'reset-before-headers' });
});

test('hang-before-headers says nothing until the client leaves, and notes when it did', async () => {
  const { simulator, client } = await started();
  simulator.setFault({ kind: 'hang-before-headers' });
  const abort = new AbortController();
  const waiting = client.chat.completions.create(asked, { signal: abort.signal });
  await simulator.waitForCall(({ fault }) => fault === 'hang-before-headers');
  abort.abort();
  await expect(waiting).rejects.toThrow('aborted');
  const call = await simulator.waitForCall(({ aborted }) => aborted);
  expect(call).toMatchObject({ status: null, usage: null });
  expect(call.abortedAt).toBeGreaterThanOrEqual(call.startedAt);
});

test('cut-mid-stream delivers the chunks before the cut, then breaks; the bill is for those', async () => {
  const { simulator, url } = await started();
  simulator.setFault({ kind: 'cut-mid-stream', afterChunks: 4 });
  const { text, broke } = await rawStream(url);
  expect(broke).toBe(true);
  expect(text.match(/"content":"[^"]/gu)).toHaveLength(4);
  expect(text).not.toContain('[DONE]');
  const call = await simulator.waitForCall(({ endedAt }) => endedAt !== null);
  expect(call).toMatchObject({ chunks: 4, usage: null, aborted: false, billed: { completion_tokens: 4 } });
});

test('cut-mid-stream breaks a whole reply too', async () => {
  const { simulator, url } = await started();
  simulator.setFault({ kind: 'cut-mid-stream' });
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(asked) });
  await expect(response.text()).rejects.toThrow();
  expect(simulator.calls()[0]?.usage).toBeNull();
});

test('hang-mid-stream stops after its chunks until the client leaves', async () => {
  const { simulator, url } = await started();
  simulator.setFault({ kind: 'hang-mid-stream', afterChunks: 3 });
  const abort = new AbortController();
  const reading = rawStream(url, abort.signal);
  await simulator.waitForCall(({ chunks }) => chunks === 3);
  abort.abort();
  await expect(reading).resolves.toMatchObject({ broke: true });
  expect(await simulator.waitForCall(({ aborted }) => aborted)).toMatchObject({ chunks: 3, usage: null });
});

test('malformed puts a broken event in the stream and goes on; a whole reply is not JSON', async () => {
  const { simulator, url } = await started();
  simulator.setFault({ kind: 'malformed', afterChunks: 1 });
  const { text } = await rawStream(url);
  const events = text.split('\n\n').filter((event) => event.startsWith('data: {'));
  const broken = events.filter((event) => !isJson(event.slice('data: '.length)));
  expect(broken).toHaveLength(1);
  expect(text).toContain('data: [DONE]');
  const whole = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(asked) });
  expect(isJson(await whole.text())).toBe(false);
});

test('missing-done ends the stream without its mark; no-usage leaves out what was asked for', async () => {
  const { simulator, url, client } = await started();
  simulator.setFault({ kind: 'missing-done' });
  const { text, broke } = await rawStream(url);
  expect([text.includes('[DONE]'), text.includes('"prompt_tokens"'), broke]).toEqual([false, true, false]);
  simulator.setFault({ kind: 'no-usage' });
  expect((await rawStream(url)).text).not.toContain('"prompt_tokens"');
  expect((await client.chat.completions.create(asked)).usage).toBeUndefined();
  const last = simulator.calls().at(-1);
  expect(last).toMatchObject({ usage: null, billed: { prompt_tokens: 13 } });
});

test('a fault with a number of times ends by itself; a header brings one for a single call', async () => {
  const { simulator, client } = await started({ faults: [{ kind: 'unavailable', times: 1 }] });
  await expect(client.chat.completions.create(asked)).rejects.toMatchObject({ status: 503 });
  await expect(client.chat.completions.create(asked)).resolves.toBeDefined();
  const headers = { 'x-sim-fault': 'rate-limited; retryAfterS=3' };
  await expect(client.chat.completions.create(asked, { headers })).rejects.toMatchObject({ status: 429 });
  await expect(client.chat.completions.create(asked)).resolves.toBeDefined();
  expect(simulator.calls().map(({ fault }) => fault)).toEqual(['unavailable', null, 'rate-limited', null]);
});

test('a client that leaves a stream is noted, and no more is made for it', async () => {
  const { simulator, client } = await started({ answerTokens: 20_000 });
  const stream = await client.chat.completions.create(streamed);
  for await (const _ of stream) break;
  const call = await simulator.waitForCall(({ aborted }) => aborted);
  expect(call.chunks).toBeLessThan(20_000);
  expect(call.usage).toBeNull();
  expect(call.billed).toMatchObject({ prompt_tokens: 13 });
  expect((call.billed as OpenAI.CompletionUsage).completion_tokens).toBeLessThan(20_000);
});

test('a reader that does not read stops the writing, and gets all of it once it reads', async () => {
  const tokens = 120_000;
  const { simulator, url } = await started({ answerTokens: tokens });
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify(streamed),
  });
  const stalledAt = await vi.waitUntil(
    async () => {
      const before = simulator.calls()[0]?.chunks ?? 0;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return before > 0 && simulator.calls()[0]?.chunks === before ? before : undefined;
    },
    { timeout: 15_000, interval: 0 },
  );
  expect(stalledAt).toBeLessThan(tokens);
  expect((await response.text()).endsWith('data: [DONE]\n\n')).toBe(true);
  expect(simulator.calls()[0]?.usage).toMatchObject({ completion_tokens: tokens });
}, 30_000);

test('stopping breaks what goes on, which is no client leaving', async () => {
  const { simulator, url } = await started({ answerTokens: 20_000, chunkDelayMs: 5 });
  const reading = rawStream(url);
  await simulator.waitForCall(({ chunks }) => chunks > 0);
  await simulator.stop();
  expect((await reading).broke).toBe(true);
  expect(await simulator.waitForCall(({ ending }) => ending !== null)).toMatchObject({
    ending: 'broken',
    aborted: false,
  });
});

test('another process drives it over HTTP', async () => {
  const { simulator, url, client } = await started();
  const control = (method: string, path: string, body?: FaultInput | object) =>
    fetch(`${url}/__sim/${path}`, { method, ...(body && { body: JSON.stringify(body) }) });
  expect(await (await control('POST', 'faults', { kind: 'unavailable' })).json()).toEqual({
    faults: [{ kind: 'unavailable', probability: 1 }],
  });
  await expect(client.chat.completions.create(asked)).rejects.toMatchObject({ status: 503 });
  expect((await control('POST', 'faults', { kind: 'explode' })).status).toBe(400);
  const steps = { model: 'shaky', steps: ['unavailable', null] };
  expect(await (await control('POST', 'schedule', steps)).json()).toMatchObject({
    schedules: [{ model: 'shaky', steps: [{ kind: 'unavailable' }, null], repeat: false, met: 0 }],
  });
  expect(await (await control('DELETE', 'schedule')).json()).toEqual({ schedules: [] });
  await control('DELETE', 'faults');
  await client.chat.completions.create(asked);
  const journal = (await (await control('GET', 'journal?limit=1')).json()) as {
    totals: object;
    calls: object[];
  };
  expect(journal.totals).toEqual({ calls: 2, streams: 0, aborted: 0 });
  expect(journal.calls).toEqual([simulator.calls()[1]]);
  expect(await (await control('POST', 'pace', { chunkDelayMs: 2 })).json()).toEqual({
    latencyMs: 0,
    latencySigma: 0,
    firstTokenMs: 0,
    chunkDelayMs: 2,
  });
  await control('POST', 'reset');
  expect(simulator.calls()).toEqual([]);
  expect((await control('GET', 'nonsense')).status).toBe(404);
});

test('the fast answer is the same each time, streamed or not, with usage only when asked', async () => {
  const { simulator, client } = await started({ fast: true });
  const whole = await client.chat.completions.create(asked);
  const chunks = await collect(await client.chat.completions.create(streamed));
  const plain = await collect(await client.chat.completions.create({ ...asked, stream: true }));
  expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(
    whole.choices[0]?.message.content,
  );
  expect(chunks.at(-1)?.usage).toEqual(whole.usage);
  expect(whole.usage?.completion_tokens).toBe(32);
  expect(plain.some((chunk) => 'usage' in chunk)).toBe(false);
  expect(simulator.totals()).toMatchObject({ calls: 3, streams: 2, aborted: 0 });
});

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
