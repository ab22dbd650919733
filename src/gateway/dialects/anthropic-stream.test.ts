import { describe, expect, it } from 'vitest';
import { AnthropicStreamReader } from './anthropic-stream.ts';

const event = (name: string, data: object) =>
  `event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`;
const start = event('message_start', {
  message: {
    model: 'claude-sonnet-4-5',
    usage: { input_tokens: 10, cache_read_input_tokens: 4, output_tokens: 1 },
  },
});
const ping = event('ping', {});
const textStart = event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
const text = (said: string) =>
  event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: said } });
const delta = event('message_delta', {
  delta: { stop_reason: 'end_turn', stop_sequence: null },
  usage: { output_tokens: 42 },
});
const stop = event('message_stop', {});

const readAll = (events: readonly string[]) => {
  const reader = new AnthropicStreamReader();
  return { reader, verdicts: events.map((one) => reader.read(Buffer.from(one).toString('latin1'))) };
};

describe('a message stream', () => {
  it('begins with the first thing said, and ends with its own mark', () => {
    const { reader, verdicts } = readAll([start, ping, textStart, text('Hi'), ping, delta, stop]);
    expect(verdicts).toEqual(['hold', 'hold', 'hold', 'pass', 'pass', 'pass', 'end']);
    expect(reader).toMatchObject({ finished: true, failed: false });
    const facts = reader.facts();
    expect(facts).toMatchObject({
      model: 'claude-sonnet-4-5',
      usage: { inputTokens: 14, cachedReadTokens: 4, outputTokens: 42 },
    });
    expect(JSON.parse(facts.rawUsage ?? '')).toEqual({
      input_tokens: 10,
      cache_read_input_tokens: 4,
      output_tokens: 42,
    });
    expect(facts.outputEstimated).toBeUndefined();
  });

  it('begins with the call of a tool, whose start has its name', () => {
    const call = { index: 0, content_block: { type: 'tool_use', id: 'toolu_1', name: 'f', input: {} } };
    const { verdicts } = readAll([start, event('content_block_start', call)]);
    expect(verdicts).toEqual(['hold', 'pass']);
  });

  it('that ends in an error before it began can be taken over, and has failed in any case', () => {
    const error = event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } });
    const early = readAll([start, error]);
    expect(early.verdicts).toEqual(['hold', 'hold']);
    expect(early.reader.failed).toBe(true);
    const late = readAll([start, textStart, text('Hi'), error]);
    expect(late.verdicts.at(-1)).toBe('pass');
    expect(late.reader).toMatchObject({ failed: true, finished: false });
  });

  it('that was cut off has the provider’s count of what went in, and our estimate of what came out', () => {
    const thought = event('content_block_delta', {
      index: 0,
      delta: { type: 'thinking_delta', thinking: 'x'.repeat(400) },
    });
    const input = event('content_block_delta', {
      index: 1,
      delta: { type: 'input_json_delta', partial_json: '{"city":"Lisbon"}'.repeat(10) },
    });
    const signature = event('content_block_delta', {
      index: 0,
      delta: { type: 'signature_delta', signature: 'x'.repeat(10_000) },
    });
    const { reader } = readAll([start, thought, signature, input]);
    const facts = reader.facts();
    expect(reader.finished).toBe(false);
    expect(facts).toMatchObject({ outputEstimated: true, usage: { inputTokens: 14, cachedReadTokens: 4 } });
    // 400 characters of thoughts and 210 of escaped JSON, about four to a token; signatures are written by nobody.
    expect(facts.usage?.outputTokens).toBe(facts.estimateOutputTokens());
    expect(facts.usage?.outputTokens).toBe(Math.ceil((400 + 210) / 4));
  });

  it('without any usage leaves all of it to be estimated', () => {
    const { reader } = readAll([event('message_start', { message: {} }), textStart, text('Hello there')]);
    expect(reader.facts()).toMatchObject({ model: null, usage: null, rawUsage: null });
    expect(reader.facts().estimateOutputTokens()).toBe(3);
  });

  it('is read whatever its lines look like', () => {
    const bare = (data: object) => `data:${JSON.stringify(data)}\r\n\r\n`;
    const { reader, verdicts } = readAll([
      ': a comment\n\n',
      bare({ type: 'message_start', message: { usage: { input_tokens: 3 } } }),
      'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é"}}\nevent: content_block_delta\n\n',
      bare({ type: 'message_delta', delta: { stop_reason: 'max_tokens' }, usage: { output_tokens: 7 } }),
      'event:message_stop\r\ndata: {"type": "message_stop"}\r\n\r\n',
    ]);
    expect(verdicts).toEqual(['hold', 'hold', 'pass', 'pass', 'end']);
    expect(reader.facts().usage).toMatchObject({ inputTokens: 3, outputTokens: 7 });
  });

  it('may say "message_stop" or "error" in its text', () => {
    const { reader, verdicts } = readAll([start, textStart, text('"type":"error" event: message_stop\n\n')]);
    expect(verdicts.at(-1)).toBe('pass');
    expect(reader).toMatchObject({ failed: false, finished: false });
  });
});
