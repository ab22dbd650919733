import { describe, expect, it } from 'vitest';
import type { ModelPath } from '../../test/harness/model-path.ts';
import { hello, modelPathSuite, onlyRow, post } from '../../test/harness/model-path-suite.ts';
import { systemClock } from '../platform/clock.ts';
import { heartbeatMs, lingerMs } from './http-reply.ts';

const { simulator, start, upstream } = modelPathSuite();

describe('a client that leaves', () => {
  it('ends the provider’s stream, and what was used is recorded', async () => {
    const path = await start();
    simulator.setFault({ kind: 'hang-mid-stream', afterChunks: 4 });
    const leaving = new AbortController();
    const response = await post(path, { ...hello, stream: true }, {}, leaving.signal);
    const reader = response.body?.getReader();
    let text = '';
    while ((text.match(/data: /g)?.length ?? 0) < 5)
      text += Buffer.from((await reader?.read())?.value ?? []).toString();
    leaving.abort();
    await simulator.waitForCall((call) => call.aborted);
    await expect.poll(async () => (await path.ledger()).length).toBe(1);
    expect(await onlyRow(path)).toMatchObject({
      status: 'aborted',
      error_code: 'client_gone',
      estimated: true,
      output_tokens: 4,
    });
  });

  it('ends a call that has not been answered yet', async () => {
    const path = await start();
    simulator.setFault({ kind: 'hang-before-headers' });
    const leaving = new AbortController();
    const reply = post(path, hello, {}, leaving.signal);
    await simulator.waitForCall((call) => call.fault === 'hang-before-headers');
    leaving.abort();
    await expect(reply).rejects.toThrow();
    await simulator.waitForCall((call) => call.aborted);
    await expect.poll(async () => (await path.ledger()).length).toBe(1);
    expect(await onlyRow(path)).toMatchObject({ status: 'aborted', estimated: true, output_tokens: 0 });
  });
});

describe('bounds', () => {
  it('refuses calls beyond those in flight, and takes them again after', async () => {
    const path = await start({ bounds: { callsPerTenant: 2 } });
    simulator.setFault({ kind: 'hang-before-headers', times: 2 });
    const leaving = new AbortController();
    const hanging = [1, 2].map(() => post(path, hello, {}, leaving.signal).catch(() => null));
    await expect.poll(() => simulator.calls().length).toBe(2);
    const refused = await post(path, hello);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ error: { code: 'overloaded' } });
    leaving.abort();
    await Promise.all(hanging);
    await expect.poll(async () => (await post(path, hello)).status).toBe(200);
  });

  it('takes no call that could not be recorded', async () => {
    const path = await start({ spoolMaxBytes: 0 });
    const response = await post(path, hello);
    expect(response.status).toBe(503);
    expect(simulator.calls()).toEqual([]);
  });

  it('ends a call that goes on for too long, however busy it is', async () => {
    const path = await start({ timeouts: { totalMs: 300 } });
    simulator.setPace({ chunkDelayMs: 20 });
    const body = { ...hello, stream: true, messages: [{ role: 'user', content: 'x '.repeat(500) }] };
    const text = await (await post(path, body)).text();
    expect(text).toContain('upstream_timeout');
    expect(await onlyRow(path)).toMatchObject({ status: 'timeout' });
    await simulator.waitForCall((call) => call.aborted);
  });

  it('takes no body that is too large, of another kind, or not understood', async () => {
    const path = await start();
    const large = await post(path, { ...hello, pad: 'x'.repeat(20 * 1024 * 1024) });
    expect(large.status).toBe(413);
    expect(await large.json()).toMatchObject({ error: { code: 'too_large', type: 'invalid_request_error' } });
    expect((await post(path, 'model=fast', { 'content-type': 'text/plain' })).status).toBe(415);
    const form = await post(path, '--x--', { 'content-type': 'multipart/form-data; boundary=x' });
    expect(form.status).toBe(415);
    const broken = await post(path, '{"model":');
    expect(broken.status).toBe(400);
    expect(await broken.json()).toMatchObject({
      error: { code: 'bad_request', type: 'invalid_request_error' },
    });
    expect((await post(path, { messages: [] })).status).toBe(400);
  });

  it('does not take a reply that is larger than any answer', async () => {
    const raw = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const piece = Buffer.alloc(1024 * 1024, 0x20);
      const more = (): void => {
        while (!response.destroyed && response.write(piece));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    });
    const path = await start({ providers: { sim: raw.url } });
    expect((await post(path, hello)).status).toBe(502);
  });
});

describe('a slow reader', () => {
  it('holds the provider back, loses nothing, and fills no memory', async () => {
    const events = 20_000;
    const filler = 'x'.repeat(5_000);
    let sent = 0;
    const raw = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const more = (): void => {
        while (sent < events) {
          sent++;
          const choice = {
            index: 0,
            delta: { content: `${sent} ${filler}` },
            finish_reason: sent === events ? 'stop' : null,
          };
          if (!response.write(`data: ${JSON.stringify({ choices: [choice] })}\n\n`)) {
            response.once('drain', more);
            return;
          }
        }
        response.end('data: [DONE]\n\n');
      };
      more();
    });
    const path = await start({ providers: { sim: raw.url } });
    const response = await post(path, { ...hello, stream: true });
    // Nobody reads: the provider must come to a halt well before its 100 MB are through.
    await haltOf(() => sent);
    expect(sent).toBeLessThan(events / 2);
    let next = 1;
    let rest = '';
    const decoder = new TextDecoder();
    for await (const part of response.body ?? []) {
      rest += decoder.decode(part, { stream: true });
      const whole = rest.split('\n\n');
      rest = whole.pop() ?? '';
      for (const event of whole) {
        if (event === 'data: [DONE]') continue;
        expect(event.includes(`"content":"${next} `)).toBe(true);
        next++;
      }
    }
    expect(next - 1).toBe(events);
    expect(await onlyRow(path)).toMatchObject({ status: 'ok' });
  }, 30_000);
});

/** A clock that can be put forward; the gateway looks at its streams a few times a second, which is short here. */
function skippingClock() {
  const skipped = { ms: 0 };
  const clock = {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + skipped.ms,
    sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 5), signal),
  };
  return { clock, skipped };
}

describe('a reader that takes nothing any more', () => {
  it('is let go a while after its stream has ended', async () => {
    let sent = 0;
    const raw = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const choice = { index: 0, delta: { content: 'x'.repeat(50_000) }, finish_reason: null };
      const event = `data: ${JSON.stringify({ choices: [choice] })}\n\n`;
      const more = (): void => {
        do sent++;
        while (!response.destroyed && response.write(event));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    });
    const { clock, skipped } = skippingClock();
    const path = await start({ providers: { sim: raw.url }, timeouts: { totalMs: 1_000_000 }, clock });
    const response = await post(path, { ...hello, stream: true });
    await haltOf(() => sent);
    skipped.ms = 1_000_000;
    expect(await onlyRowSoon(path)).toMatchObject({ status: 'timeout' });
    expect(await connectionsOf(path)).toBe(1);
    await expect
      .poll(() => {
        // Again and again, because the row is there a moment before the stream has ended.
        skipped.ms += lingerMs;
        return connectionsOf(path);
      })
      .toBe(0);
    await expect(response.text()).rejects.toThrow();
  }, 30_000);
});

describe('silence on a stream', () => {
  it('is filled with comments, which clients skip, so that nothing on the way closes it', async () => {
    const { clock, skipped } = skippingClock();
    const path = await start({ clock });
    simulator.setFault({ kind: 'hang-mid-stream', afterChunks: 2 });
    const leaving = new AbortController();
    const response = await post(path, { ...hello, stream: true }, {}, leaving.signal);
    const reader = response.body?.getReader();
    let text = '';
    const readUntil = async (wanted: RegExp) => {
      while (!wanted.test(text)) text += Buffer.from((await reader?.read())?.value ?? []).toString();
    };
    await readUntil(/(data: .*){3}/s);
    skipped.ms = heartbeatMs;
    await readUntil(/\n\n: keep-alive\n\n$/);
    skipped.ms += heartbeatMs;
    await readUntil(/\n\n: keep-alive\n\n: keep-alive\n\n$/);
    leaving.abort();
    await simulator.waitForCall((call) => call.aborted);
  });
});

describe('stopping', () => {
  it('ends what still goes on, and records it', async () => {
    const path = await start();
    simulator.setFault({ kind: 'hang-mid-stream', afterChunks: 2 });
    const response = await post(path, { ...hello, stream: true });
    await path.gateway.stop();
    expect(await response.text()).toContain('shutting_down');
    expect(await onlyRow(path)).toMatchObject({
      status: 'error',
      error_code: 'shutting_down',
      estimated: true,
    });
  });
});

async function onlyRowSoon(path: ModelPath) {
  await expect.poll(async () => (await path.ledger()).length).toBe(1);
  return onlyRow(path);
}

function connectionsOf(path: ModelPath): Promise<number> {
  return new Promise((resolve, reject) => {
    path.http.api.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

/** Waits until a count does not grow any more. */
async function haltOf(count: () => number): Promise<void> {
  let before = 0;
  await expect
    .poll(
      () => {
        const halted = count() > 0 && count() === before;
        before = count();
        return halted;
      },
      { interval: 200, timeout: 10_000 },
    )
    .toBe(true);
}
