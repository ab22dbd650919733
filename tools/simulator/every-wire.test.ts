import { describe, expect, test } from 'vitest';
import { everyWire, type WireCase } from './every-wire.ts';
import type { FaultInput } from './faults.ts';
import { simulators } from './testing.ts';

const start = simulators();

interface Raw {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly broke: boolean;
}

async function ask(
  url: string,
  { headers }: WireCase,
  { path, body }: WireCase['whole'],
  signal?: AbortSignal,
): Promise<Raw> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
  const chunks: Uint8Array[] = [];
  const { status, headers: told } = response;
  try {
    for await (const chunk of response.body ?? []) chunks.push(chunk);
    return { status, headers: told, bytes: Buffer.concat(chunks), broke: false };
  } catch {
    return { status, headers: told, bytes: Buffer.concat(chunks), broke: true };
  }
}

describe.each(everyWire)('$wire', (wireCase) => {
  const { wire, streamed, whole } = wireCase;
  const withFault = async (fault: FaultInput) => start({ faults: [fault], answerTokens: 40 });
  const isKapa = wire === 'kapa-chat';

  test('whole and streamed count the same, and the journal tells all of it', async () => {
    const { simulator, url } = await start({ answerTokens: 40 });
    expect((await ask(url, wireCase, whole)).broke).toBe(false);
    expect((await ask(url, wireCase, streamed)).broke).toBe(false);
    const [first, second] = simulator.calls();
    expect(first).toMatchObject({ wire, model: wireCase.model, stream: false, ending: 'whole', step: null });
    expect(second).toMatchObject({ wire, model: wireCase.model, stream: true, ending: 'whole', chunks: 40 });
    expect(second?.served).toEqual(first?.served);
    expect(second?.served?.outputTokens).toBe(40);
    if (!isKapa) expect([first?.usage !== null, second?.usage !== null]).toEqual([true, true]);
  });

  test('a wrong key, a long prompt and a spent limit are refused in the form of the provider', async () => {
    const { url } = await start({ contextTokens: 3 });
    expect((await ask(url, wireCase, streamed)).status).toBe(400);
    const { url: limited } = await start({ rateLimit: { requestsPerMinute: 1, tokensPerMinute: 1_000 } });
    const [first, second] = [await ask(limited, wireCase, whole), await ask(limited, wireCase, whole)];
    expect([first.status, second.status]).toEqual([200, 429]);
    const { url: locked } = await start({ apiKey: 'sk-test-another' });
    const refused = await ask(locked, wireCase, whole);
    expect([400, 401, 403]).toContain(refused.status);
    expect(JSON.parse(refused.bytes.toString('utf8'))).toBeTypeOf('object');
  });

  test.each([
    ['rate-limited', 429],
    ['server-error', 500],
    ['unavailable', wire === 'anthropic-messages' ? 529 : 503],
    ['html-error', 502],
  ] as const)('%s is refused with %i', async (kind, status) => {
    const { simulator, url } = await withFault({ kind });
    const refused = await ask(url, wireCase, streamed);
    expect(refused.status).toBe(status);
    const isJson = refused.headers.get('content-type')?.startsWith('application/json') === true;
    expect(isJson).toBe(kind !== 'html-error');
    expect(simulator.calls()[0]).toMatchObject({ ending: 'refused', fault: kind, served: null });
  });

  test.each(['cut-mid-stream', 'reset-mid-stream', 'half-close'] as const)(
    '%s breaks a stream after its chunks, and a whole reply half way',
    async (kind) => {
      const { simulator, url } = await withFault({ kind, afterChunks: 5 });
      expect((await ask(url, wireCase, streamed)).broke).toBe(true);
      expect((await ask(url, wireCase, whole)).broke).toBe(true);
      await simulator.waitForCall(({ number, endedAt }) => number === 2 && endedAt !== null);
      const [first, second] = simulator.calls();
      expect(first).toMatchObject({ ending: 'broken', chunks: 5, usage: null, aborted: false });
      expect(first?.served?.outputTokens).toBe(5);
      expect(second).toMatchObject({ ending: 'broken', usage: null });
    },
  );

  test('a client that leaves while nothing more comes is noted, before the first token and after', async () => {
    const { simulator, url } = await start({ answerTokens: 40 });
    for (const kind of ['hang-before-first-token', 'hang-mid-stream'] as const) {
      simulator.reset();
      simulator.setFault({ kind, afterChunks: 5 });
      const leaving = new AbortController();
      const reading = ask(url, wireCase, streamed, leaving.signal);
      const chunks = kind === 'hang-mid-stream' ? 5 : 0;
      await simulator.waitForCall((call) => call.status === 200 && call.chunks === chunks);
      leaving.abort();
      await reading.catch(() => undefined);
      const call = await simulator.waitForCall(({ ending }) => ending !== null);
      expect(call).toMatchObject({ ending: 'aborted', aborted: true, chunks, usage: null });
      expect(call.abortedAt).not.toBeNull();
    }
  });

  test('an error event ends a stream that had begun well', async () => {
    const { simulator, url } = await withFault({ kind: 'error-event', afterChunks: 5 });
    const { status, bytes, broke } = await ask(url, wireCase, streamed);
    expect([status, broke]).toEqual([200, false]);
    expect(bytes.toString('latin1').slice(-600)).toMatch(/overloaded|unavailable|busy|unable/iu);
    expect((await ask(url, wireCase, whole)).status).toBeGreaterThanOrEqual(500);
    expect(simulator.calls()[0]).toMatchObject({ ending: 'broken', chunks: 5, usage: null });
  });

  test('malformed spoils one frame of a stream, and a whole reply', async () => {
    const { url } = await withFault({ kind: 'malformed', afterChunks: 5 });
    const { url: healthy } = await start({ answerTokens: 40 });
    const spoiled = await ask(url, wireCase, streamed);
    const good = await ask(healthy, wireCase, streamed);
    expect(spoiled.bytes.length).toBeGreaterThan(good.bytes.length);
    const body = (await ask(url, wireCase, whole)).bytes.toString('utf8');
    expect(() => JSON.parse(body)).toThrow();
  });

  test('invalid UTF-8 stands in the text', async () => {
    const { url } = await withFault({ kind: 'invalid-utf8' });
    for (const asked of [streamed, whole]) {
      const { bytes } = await ask(url, wireCase, asked);
      expect(bytes.includes(Buffer.from([0xff, 0xfe, 0xc0]))).toBe(true);
      expect(() => new TextDecoder('utf-8', { fatal: true }).decode(bytes)).toThrow();
    }
  });

  test('a gzip bomb is small on the wire and large when it is opened', async () => {
    const { simulator, url } = await withFault({ kind: 'gzip-bomb', expandBytes: 32 * 1024 * 1024 });
    for (const asked of [streamed, whole]) {
      const { headers, bytes } = await ask(url, wireCase, asked);
      expect(headers.get('content-encoding')).toBe('gzip');
      expect(bytes.length).toBeGreaterThanOrEqual(32 * 1024 * 1024);
    }
    expect(simulator.calls()[0]?.replyBytes).toBeLessThan(64 * 1024);
  });

  test('without its usage and without its end a stream lacks just those', async () => {
    const { simulator, url } = await withFault({ kind: 'no-usage' });
    const { url: healthy } = await start({ answerTokens: 40 });
    const good = (await ask(healthy, wireCase, streamed)).bytes;
    const bare = (await ask(url, wireCase, streamed)).bytes;
    if (!isKapa) expect(bare.length).toBeLessThan(good.length);
    expect(simulator.calls()[0]).toMatchObject({ usage: null, ending: 'whole' });
    expect(simulator.calls()[0]?.served?.outputTokens).toBe(40);
    simulator.setFault({ kind: 'missing-done' });
    const endless = await ask(url, wireCase, streamed);
    expect(endless.broke).toBe(false);
    expect(endless.bytes.length).toBeLessThan(good.length);
  });

  test('resets and silence before the headers', async () => {
    const { simulator, url } = await withFault({ kind: 'reset-before-headers' });
    await expect(ask(url, wireCase, streamed)).rejects.toThrow('fetch failed');
    expect(await simulator.waitForCall(({ ending }) => ending !== null)).toMatchObject({
      ending: 'broken',
      status: null,
    });
    simulator.reset();
    simulator.setFault({ kind: 'hang-before-headers' });
    const leaving = new AbortController();
    const asking = ask(url, wireCase, streamed, leaving.signal);
    await simulator.waitForCall(({ fault }) => fault === 'hang-before-headers');
    leaving.abort();
    await expect(asking).rejects.toThrow('aborted');
    expect(await simulator.waitForCall(({ aborted }) => aborted)).toMatchObject({ status: null });
  });
});
