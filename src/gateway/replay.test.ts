import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noUsage } from '../costs/index.ts';
import { Cancellation } from './cancellation.ts';
import { RecordedStream } from './recorded-stream.ts';
import { replay } from './replay.ts';

const generatedBy = { tier: 'primary', provider: 'sim', model: 'm' };

function streamed(body: Buffer) {
  return {
    streamed: true,
    contentType: 'text/event-stream',
    headers: { 'x-gatehouse-cache': 'hit' },
    body,
    generatedBy,
    usage: noUsage,
    costNanoUsd: null,
    storedAtMs: 0,
  };
}

/** A reader that takes `takes` writes and then wants to be waited for. */
function reader(takes: number) {
  const written: Buffer[] = [];
  let resume = () => {};
  let waitedFor = false;
  return {
    written,
    get waitedFor() {
      return waitedFor;
    },
    catchUp() {
      waitedFor = false;
      resume();
    },
    sink: {
      open: (_head: unknown, onReady: () => void) => {
        resume = onReady;
      },
      write(bytes: Buffer) {
        expect(waitedFor).toBe(false);
        written.push(bytes);
        waitedFor = written.length % takes === 0;
        return !waitedFor;
      },
    },
  };
}

describe('a stream that is given again', () => {
  it('leaves as whole events in their order, waits for its reader, and keeps its last event for the end', async () => {
    const event = fc.string({ maxLength: 9_000 }).map((text) => `data: ${JSON.stringify(text)}\n\n`);
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 30 }),
        fc.integer({ min: 1, max: 4 }),
        async (events, takes) => {
          const body = Buffer.from([...events, 'data: [DONE]\n\n'].join(''));
          const given = reader(takes);
          const playing = replay(streamed(body), { cancellation: new Cancellation() }, given.sink);
          let over = false;
          const done = playing.finally(() => {
            over = true;
          });
          while (!over) {
            await Promise.resolve();
            if (given.waitedFor) given.catchUp();
          }
          const answer = await done;
          expect(answer).toMatchObject({ kind: 'streamed', generatedBy: { ...generatedBy, tier: 'cached' } });
          const tail = answer.kind === 'streamed' ? answer.tail : Buffer.alloc(0);
          expect(tail.toString()).toBe('data: [DONE]\n\n');
          expect(Buffer.concat([...given.written, tail])).toEqual(body);
          for (const part of given.written) expect(part.subarray(-2).toString()).toBe('\n\n');
        },
      ),
      { numRuns: 100 },
    );
  });

  it('stops when its reader leaves', async () => {
    const cancellation = new Cancellation();
    const given = reader(1);
    const body = Buffer.from('data: 1\n\n'.repeat(10_000));
    const playing = replay(streamed(body), { cancellation }, given.sink);
    cancellation.cancel('client');
    await expect(playing).rejects.toMatchObject({ code: 'client_gone' });
    expect(given.written).toHaveLength(1);
  });
});

describe('a stream that is recorded', () => {
  const head = { contentType: 'text/event-stream', headers: { 'x-request-id': '1' }, generatedBy };
  const turnOf = (maxBytes: number) => {
    const turn = {
      headers: { 'x-gatehouse-cache': 'miss' },
      maxBytes,
      letGo: 0,
      releaseAll: () => void turn.letGo++,
    };
    return turn;
  };

  it('is what left, with its end, and tells its caller about the cache without keeping that', () => {
    const given = reader(100);
    const told: unknown[] = [];
    const sink = { ...given.sink, open: (opened: unknown) => void told.push(opened) };
    const recorded = new RecordedStream(sink, turnOf(100));
    recorded.open(head, () => {});
    const block = Buffer.from('data: 1\n\n');
    recorded.write(block);
    block.fill(0);
    const reply = recorded.reply({
      kind: 'streamed',
      tail: Buffer.from('data: [DONE]\n\n'),
      error: null,
      generatedBy,
    });
    expect(reply?.body.toString()).toBe('data: 1\n\ndata: [DONE]\n\n');
    expect(reply).toMatchObject({ streamed: true, headers: { 'x-request-id': '1' } });
    expect(told).toMatchObject([{ headers: { 'x-request-id': '1', 'x-gatehouse-cache': 'miss' } }]);
  });

  it('is not kept when it grows too long, whose waiters are let go at once', () => {
    const turn = turnOf(20);
    const given = reader(100);
    const recorded = new RecordedStream(given.sink, turn);
    recorded.open(head, () => {});
    for (let n = 0; n < 5; n++) recorded.write(Buffer.from('data: 1\n\n'));
    expect(turn.letGo).toBe(1);
    expect(given.written).toHaveLength(5);
    expect(recorded.reply({ kind: 'streamed', tail: Buffer.alloc(0), error: null, generatedBy })).toBeNull();
  });
});
