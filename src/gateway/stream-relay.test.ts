import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OpenAiStreamReader } from './dialects/openai-stream.ts';
import { EventSplitter, maxEventBytes } from './sse-events.ts';
import { maxHeldBytes, StreamRelay } from './stream-relay.ts';

const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
const event = (data: unknown) => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}`;
const chunkOf = (content: string, more: object = {}) => ({
  model: 'gpt-4o-mini-2024',
  choices: [{ index: 0, delta: { content }, finish_reason: null }],
  usage: null,
  ...more,
});
const stop = {
  model: 'gpt-4o-mini-2024',
  choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
  usage: null,
};
const usageEvent = { model: 'gpt-4o-mini-2024', choices: [], usage };

/** Cuts bytes at the given places, in any number of pieces. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...sorted].map((from, index) => bytes.subarray(from, sorted[index] ?? bytes.length));
}

function relayed(pieces: readonly Buffer[], hidesUsageEvent: boolean) {
  const sent: Buffer[] = [];
  const write = (bytes: Buffer) => {
    // A copy, as a socket would have sent it by the time the next piece comes.
    sent.push(Buffer.from(bytes));
    return true;
  };
  const relay = new StreamRelay(new OpenAiStreamReader(hidesUsageEvent), { write }, null);
  for (const piece of pieces) expect(relay.push(Buffer.from(piece))).toBe(true);
  const before = Buffer.concat(sent).toString('utf8');
  return { relay, before, tail: relay.finish().toString('utf8') };
}

const separator = fc.constantFrom('\n\n', '\r\n\r\n');
const texts = fc.array(
  fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('usage', '"usage":{', '[DONE]', '\n\n')),
  {
    maxLength: 6,
  },
);
const places = fc.array(fc.nat(), { maxLength: 12 });

describe('the relay of a stream', () => {
  it('passes every byte but the usage event, holds the end mark back, and reads the usage, however the bytes are cut', () => {
    fc.assert(
      fc.property(texts, separator, places, fc.boolean(), (contents, end, where, hides) => {
        const shown = [...contents.map((text) => event(chunkOf(text))), ': a comment', event(stop)];
        const all = [...shown, event(usageEvent), event('[DONE]')].map((text) => text + end).join('');
        const { relay, before, tail } = relayed(cut(Buffer.from(all), where), hides);
        const passed = hides ? shown : [...shown, event(usageEvent)];
        expect(before).toBe(passed.map((text) => text + end).join(''));
        expect(tail).toBe(event('[DONE]') + end);
        expect(relay.reader.finished).toBe(true);
        expect(relay.reader.failed).toBe(false);
        const facts = relay.reader.facts();
        expect(facts.model).toBe('gpt-4o-mini-2024');
        expect(facts.rawUsage).toBe(JSON.stringify(usage));
        expect(facts.usage).toMatchObject({ inputTokens: 7, outputTokens: 3 });
      }),
      { numRuns: 300 },
    );
  });

  it('passes a last event on that has choices and usage', () => {
    const last = event({ ...stop, usage });
    const { relay, before } = relayed([Buffer.from(`${last}\n\n`)], true);
    expect(before).toBe(`${last}\n\n`);
    expect(relay.reader.facts().usage).toMatchObject({ inputTokens: 7 });
  });

  it('takes a reason to stop for the end where no end mark comes, and half an event for nothing', () => {
    const whole = relayed([Buffer.from(`${event(chunkOf('a'))}\n\n${event(stop)}\n\n`)], true);
    expect(whole.relay.reader.finished).toBe(true);
    const torn = relayed([Buffer.from(`${event(chunkOf('a'))}\n\n${event(stop).slice(0, -9)}`)], true);
    expect(torn).toMatchObject({ before: `${event(chunkOf('a'))}\n\n`, tail: '' });
    expect(torn.relay.reader.finished).toBe(false);
    const unended = relayed([Buffer.from(`${event(stop)}\n\n${event('[DONE]')}\n`)], true);
    expect(unended.tail).toBe(`${event('[DONE]')}\n\n`);
  });

  it('knows an error that a provider sends in a stream', () => {
    const error = event({ error: { message: 'out of memory' } });
    expect(relayed([Buffer.from(`${error}\n\n`)], true).relay.reader.failed).toBe(true);
    const talk = event(chunkOf('{"error":{"message":"just talk"}}'));
    expect(relayed([Buffer.from(`${talk}\n\n`)], true).relay.reader.failed).toBe(false);
  });

  it('estimates what was written, by events or by bytes, whichever is more', () => {
    const single = relayed(
      [...'abcdefgh'].map((char) => Buffer.from(`${event(chunkOf(char))}\n\n`)),
      true,
    );
    expect(single.relay.reader.facts().estimateOutputTokens()).toBe(8);
    const long = relayed([Buffer.from(`${event(chunkOf('word '.repeat(80)))}\n\n`)], true);
    expect(long.relay.reader.facts().estimateOutputTokens()).toBe(100);
    const tool = { choices: [{ delta: { tool_calls: [{ function: { arguments: 'x'.repeat(40) } }] } }] };
    const call = relayed([Buffer.from(`${event(tool)}\n\n`)], true);
    expect(call.relay.reader.facts().estimateOutputTokens()).toBe(10);
  });

  it('ignores usage that cannot be true', () => {
    for (const wrong of [{ prompt_tokens: -1 }, { prompt_tokens: 1e300 }, { prompt_tokens: '7' }, {}]) {
      const { relay } = relayed([Buffer.from(`${event({ choices: [], usage: wrong })}\n\n`)], true);
      expect(relay.reader.facts().usage).toBeNull();
    }
  });

  it('gives up on an event without end', () => {
    const relay = new StreamRelay(new OpenAiStreamReader(true), { write: () => true }, null);
    const piece = Buffer.alloc(1024 * 1024, 0x61);
    const outcomes = Array.from({ length: maxEventBytes / piece.length + 1 }, () => relay.push(piece));
    expect(outcomes.at(-1)).toBe('malformed');
    expect(outcomes.slice(0, -1).every((outcome) => outcome === true)).toBe(true);
  });

  it('tells when the reader is slow', () => {
    const relay = new StreamRelay(new OpenAiStreamReader(true), { write: () => false }, null);
    expect(relay.push(Buffer.from(`${event(chunkOf('a'))}\n\n`))).toBe(false);
    expect(relay.push(Buffer.from('data: {"half'))).toBe(true);
  });

  it('sends only what a guard lets through, and what it held back before the end mark', () => {
    const sent: string[] = [];
    const held: Buffer[] = [];
    const guard = {
      push: (events: Buffer) => {
        held.push(events);
        return held.length > 1 ? (held.shift() ?? Buffer.alloc(0)) : Buffer.alloc(0);
      },
      end: () => Buffer.concat(held),
    };
    const write = (bytes: Buffer) => sent.push(bytes.toString()) > 0;
    const relay = new StreamRelay(new OpenAiStreamReader(true), { write }, guard);
    for (const text of ['a', 'b', 'c']) relay.push(Buffer.from(`${event(chunkOf(text))}\n\n`));
    relay.push(Buffer.from(`${event('[DONE]')}\n\n`));
    expect(sent).toEqual(['a', 'b'].map((text) => `${event(chunkOf(text))}\n\n`));
    expect(relay.finish().toString()).toBe(`${event(chunkOf('c'))}\n\n${event('[DONE]')}\n\n`);
  });
});

describe('what opens a stream and holds nothing of the answer', () => {
  const opening = [
    event({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }),
    event({ choices: [], prompt_filter_results: [{ prompt_index: 0 }] }),
    ': PROCESSING',
    event({ choices: [{ index: 0, delta: { role: 'assistant', content: null, refusal: null } }] }),
  ];
  const all = (texts: readonly string[]) => texts.map((text) => `${text}\n\n`).join('');

  it('is held back until the answer begins, and leaves with it as it came, however the bytes are cut', () => {
    const first = fc.constantFrom<object>(
      { content: 'a' },
      { reasoning_content: 'hm' },
      { refusal: 'no' },
      { tool_calls: [{ index: 0, id: 'call_1', function: { name: 'f', arguments: '' } }] },
      { audio: { id: 'x' } },
    );
    fc.assert(
      fc.property(fc.subarray(opening), first, places, (held, delta, where) => {
        const answer = event({ choices: [{ index: 0, delta }] });
        const sent: string[] = [];
        const write = (bytes: Buffer) => sent.push(bytes.toString()) > 0;
        const relay = new StreamRelay(new OpenAiStreamReader(true), { write }, null);
        for (const piece of cut(Buffer.from(all(held)), where)) relay.push(piece);
        expect(sent).toEqual([]);
        relay.push(Buffer.from(`${answer}\n\n`));
        expect(sent.join('')).toBe(all([...held, answer]));
      }),
    );
  });

  it('leaves by itself when there is more of it than any provider opens with', () => {
    let sent = 0;
    const write = (bytes: Buffer) => {
      sent += bytes.length;
      return true;
    };
    const relay = new StreamRelay(new OpenAiStreamReader(true), { write }, null);
    const ping = Buffer.from(`: ${'x'.repeat(1_000)}\n\n`);
    let pushed = 0;
    while (pushed <= maxHeldBytes) {
      expect(sent).toBe(0);
      relay.push(ping);
      pushed += ping.length;
    }
    expect(sent).toBe(pushed);
  });

  it('leaves at the end when the answer is empty', () => {
    const { before, tail } = relayed([Buffer.from(all([...opening, event('[DONE]')]))], true);
    expect(before).toBe('');
    expect(tail).toBe(all([...opening, event('[DONE]')]));
  });

  it('is kept back when an error comes in place of the answer', () => {
    const error = event({ error: { message: 'out of memory' } });
    const { relay, before } = relayed([Buffer.from(all([...opening, error]))], true);
    expect(before).toBe('');
    expect(relay.reader.failed).toBe(true);
  });
});

describe('a torn event', () => {
  it.each([
    'data: {"choices":[{"delta":{"content":"',
    'event: message_start\ndata: {"type":"message_start","mess',
    'data:{"choices":',
  ])('is found before it leaves: %s', (torn) => {
    const sent: string[] = [];
    const relay = new StreamRelay(
      new OpenAiStreamReader(true),
      { write: (bytes) => sent.push(bytes.toString()) > 0 },
      null,
    );
    expect(relay.push(Buffer.from(`${event(chunkOf('a'))}\n\n`))).toBe(true);
    expect(relay.push(Buffer.from(`${torn}\n\n`))).toBe('malformed');
    expect(sent).toHaveLength(1);
  });
});

describe('cutting a stream into events', () => {
  it('gives the same events however the bytes arrive', () => {
    const piece = fc.constantFrom('\n', '\r', '\n\n', '\r\n\r\n', 'data: x', ':', 'ü', '\n\r\n');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), places, (parts, where) => {
        const bytes = Buffer.from(parts.join(''));
        const eventsOf = (pieces: readonly Buffer[]) => {
          const splitter = new EventSplitter();
          const events: string[] = [];
          for (const part of pieces) {
            const { bytes: all, ends } = splitter.push(Buffer.from(part)) ?? {
              bytes: Buffer.alloc(0),
              ends: [],
            };
            ends.reduce((start, end) => {
              events.push(all.toString('latin1', start, end));
              return end;
            }, 0);
          }
          return [...events, splitter.rest().toString('latin1')];
        };
        const cutUp = eventsOf(cut(bytes, where));
        expect(cutUp.join('')).toBe(bytes.toString('latin1'));
        expect(cutUp).toEqual(eventsOf([bytes]));
      }),
      { numRuns: 500 },
    );
  });
});
