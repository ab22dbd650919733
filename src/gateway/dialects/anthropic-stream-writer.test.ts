import type { LanguageModelV4FinishReason, LanguageModelV4StreamPart } from '@ai-sdk/provider';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../json-object.ts';
import { AnthropicStreamWriter } from './anthropic-stream-writer.ts';

const usage = {
  inputTokens: { total: 20, noCache: 12, cacheRead: 5, cacheWrite: 3 },
  outputTokens: { total: 9, text: 6, reasoning: 3 },
};
const finish = (
  unified: LanguageModelV4FinishReason['unified'] = 'stop',
  raw: string | undefined = 'stop',
): LanguageModelV4StreamPart => ({ type: 'finish', finishReason: { unified, raw }, usage });

const open = (request: JsonObject = {}) =>
  new AnthropicStreamWriter({ callId: '0192-ab', model: 'fast', createdAt: 0, request });
const write = (parts: readonly LanguageModelV4StreamPart[], request: JsonObject = {}) => {
  const writer = open(request);
  return eventsOf(parts.map((part) => writer.write(part)).join('') + writer.end());
};

interface Event {
  readonly type: string;
  readonly index?: number;
  readonly content_block?: JsonObject;
  readonly delta?: JsonObject;
  readonly usage?: JsonObject;
  readonly message?: JsonObject;
}

/** Each event names itself twice, and both agree. */
function eventsOf(text: string): Event[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .map((one) => {
      const [, name, data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(one) ?? [];
      const event = JSON.parse(data) as Event;
      expect(event.type).toBe(name);
      return event;
    });
}

/** Puts a stream's blocks together as its clients do, and refuses what they would trip over. */
function assembled(events: readonly Event[]): JsonObject[] {
  const blocks: (JsonObject & { json?: string })[] = [];
  let current = -1;
  expect(events[0]?.type).toBe('message_start');
  expect(events.slice(-2).map(({ type }) => type)).toEqual(['message_delta', 'message_stop']);
  for (const { type, index, content_block: block, delta } of events.slice(1, -2)) {
    if (type === 'content_block_start') {
      expect(current).toBe(-1);
      expect(index).toBe(blocks.length);
      current = blocks.push({ ...block }) - 1;
      continue;
    }
    expect(index).toBe(current);
    if (type === 'content_block_stop') {
      const { json, ...whole } = blocks[current] ?? {};
      if (json !== undefined) blocks[current] = { ...whole, input: JSON.parse(json) };
      current = -1;
      continue;
    }
    expect(type).toBe('content_block_delta');
    const before = blocks[current] ?? {};
    const { type: kind, ...said } = delta ?? {};
    if (kind === 'input_json_delta') {
      blocks[current] = { ...before, json: `${before.json ?? ''}${String(said.partial_json)}` };
    } else if (kind === 'signature_delta') blocks[current] = { ...before, ...said };
    else {
      const [[key, value] = ['', '']] = Object.entries(said);
      blocks[current] = { ...before, [key]: `${String(before[key])}${String(value)}` };
    }
  }
  expect(current).toBe(-1);
  return blocks;
}

describe('a translated stream', () => {
  it('has the events of the API in their order', () => {
    const events = write([
      { type: 'stream-start', warnings: [] },
      { type: 'response-metadata', id: 'x', modelId: 'gpt-4o-mini-2024-07-18' },
      { type: 'text-start', id: '0' },
      { type: 'text-delta', id: '0', delta: 'Good ' },
      { type: 'text-delta', id: '0', delta: 'morning' },
      { type: 'text-end', id: '0' },
      finish(),
    ]);
    expect(events[0]?.message).toMatchObject({
      id: 'msg_0192ab',
      type: 'message',
      role: 'assistant',
      model: 'gpt-4o-mini-2024-07-18',
      content: [],
      stop_reason: null,
    });
    expect(assembled(events)).toEqual([{ type: 'text', text: 'Good morning', citations: null }]);
    expect(events.at(-2)).toMatchObject({
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: {
        input_tokens: 12,
        cache_read_input_tokens: 5,
        cache_creation_input_tokens: 3,
        output_tokens: 9,
        output_tokens_details: { thinking_tokens: 3 },
      },
    });
  });

  it('says nothing before the provider does', () => {
    const writer = open();
    expect(writer.write({ type: 'stream-start', warnings: [] })).toBe('');
    expect(writer.write({ type: 'text-start', id: '0' })).toBe('');
    expect(writer.write({ type: 'text-delta', id: '0', delta: '' })).toBe('');
    expect(writer.write({ type: 'reasoning-start', id: '1' })).toBe('');
  });

  it('signs thoughts, and marks those that are not Anthropic’s', () => {
    const thought = (providerMetadata: Record<string, Record<string, string>>) =>
      assembled(
        write([
          { type: 'reasoning-start', id: '1' },
          { type: 'reasoning-delta', id: '1', delta: 'Hm.' },
          { type: 'reasoning-delta', id: '1', delta: '', providerMetadata },
          { type: 'reasoning-end', id: '1' },
          finish(),
        ]),
      );
    const said = { type: 'thinking', thinking: 'Hm.' };
    expect(thought({ amazonBedrock: { signature: 'c2ln' } })).toEqual([{ ...said, signature: 'c2ln' }]);
    expect(thought({ google: { thoughtSignature: 'c2ln' } })).toEqual([
      { ...said, signature: 'gatehouse.google-gemini-v1.c2ln' },
    ]);
    expect(thought({})).toEqual([{ ...said, signature: 'gatehouse.unsigned' }]);
    expect(thought({ amazonBedrock: { redactedData: 'c2ln' } })).toMatchObject([
      { type: 'thinking', signature: 'gatehouse.unsigned' },
      { type: 'redacted_thinking', data: 'gatehouse.amazon-bedrock-data-v1.c2ln' },
    ]);
  });

  it('shows no thoughts to whom asked for none', () => {
    const parts: LanguageModelV4StreamPart[] = [
      { type: 'reasoning-start', id: '1' },
      {
        type: 'reasoning-delta',
        id: '1',
        delta: 'Hm.',
        providerMetadata: { amazonBedrock: { signature: 's' } },
      },
      { type: 'reasoning-end', id: '1' },
      { type: 'text-delta', id: '2', delta: 'Hi' },
      finish(),
    ];
    const text = { type: 'text', text: 'Hi', citations: null };
    expect(assembled(write(parts, { thinking: { type: 'disabled' } }))).toEqual([text]);
    const omitted = { thinking: { type: 'adaptive', display: 'omitted' } };
    expect(assembled(write(parts, omitted))).toEqual([
      { type: 'thinking', thinking: '', signature: 's' },
      text,
    ]);
  });

  it('says why it ends', () => {
    const reason = (...given: Parameters<typeof finish>) =>
      write([finish(...given)]).at(-2)?.delta?.stop_reason;
    expect(reason('length', 'MAX_TOKENS')).toBe('max_tokens');
    expect(reason('tool-calls', 'tool_calls')).toBe('tool_use');
    expect(reason('content-filter', 'SAFETY')).toBe('refusal');
    expect(reason('stop', 'stop_sequence')).toBe('stop_sequence');
    expect(reason('stop', 'end_turn')).toBe('end_turn');
  });

  it('ends in an error event that its clients raise', () => {
    const writer = open();
    const [event] = eventsOf(
      writer.write({ type: 'error', error: { statusCode: 529, message: 'Overloaded' } }),
    );
    expect(event).toEqual({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } });
  });

  it('has a block for each of thousands of calls that are open at once', () => {
    const ids = Array.from({ length: 10_000 }, (_, n) => `call_${n}`);
    const parts: LanguageModelV4StreamPart[] = [
      ...ids.map((id) => ({ type: 'tool-input-start' as const, id, toolName: 'f' })),
      ...ids.map((id) => ({ type: 'tool-input-delta' as const, id, delta: `{"id":"${id}"}` })),
      ...ids.map((id) => ({ type: 'tool-input-end' as const, id })),
      ...ids.map((id) => ({ type: 'tool-call' as const, toolCallId: id, toolName: 'f', input: '{}' })),
      finish('tool-calls'),
    ];
    expect(assembled(write(parts)).map(({ input }) => input)).toEqual(ids.map((id) => ({ id })));
  });

  it('is well formed however texts, thoughts and calls are mingled, and loses nothing', () => {
    const pieces = fc.array(fc.constantFrom('a', 'b ', '"', '\n\n', 'é'), { maxLength: 4 });
    const part = fc.record({ kind: fc.constantFrom('text', 'reasoning', 'tool'), pieces });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), fc.infiniteStream(fc.nat()), (parts, draws) => {
        const queues = parts.map(({ kind, pieces: said }, index) => queueOf(kind, `${kind}${index}`, said));
        const mingled: LanguageModelV4StreamPart[] = [];
        for (let left = queues; left.length > 0; left = left.filter((queue) => queue.length > 0)) {
          const drawn = left[(draws.next().value ?? 0) % left.length]?.shift();
          if (drawn) mingled.push(drawn);
        }
        const blocks = assembled(write([...mingled, finish()]));
        for (const [index, { kind, pieces: said }] of parts.entries()) {
          if (kind !== 'tool') continue;
          const call = blocks.find(({ id }) => id === `tool${index}`);
          expect(call).toMatchObject({ type: 'tool_use', name: 'f', input: { said: said.join('') } });
        }
        const all = (kind: string) => parts.filter((one) => one.kind === kind).flatMap((one) => one.pieces);
        const shown = (type: string, key: string) =>
          blocks.filter((block) => block.type === type).map((block) => String(block[key]));
        const letters = (texts: string[]) => [...texts.join('')].sort().join('');
        expect(letters(shown('text', 'text'))).toBe(letters(all('text')));
        expect(letters(shown('thinking', 'thinking'))).toBe(letters(all('reasoning')));
      }),
    );
  });
});

/** One part as packages send it, in its own order. */
function queueOf(kind: string, id: string, said: readonly string[]): LanguageModelV4StreamPart[] {
  if (kind === 'tool') {
    const input = JSON.stringify({ said: said.join('') });
    return [
      { type: 'tool-input-start', id, toolName: 'f' },
      ...[...input].map((delta) => ({ type: 'tool-input-delta' as const, id, delta })),
      { type: 'tool-input-end', id },
      { type: 'tool-call', toolCallId: id, toolName: 'f', input },
    ];
  }
  const type = kind === 'text' ? 'text' : 'reasoning';
  return [
    { type: `${type}-start`, id },
    ...said.map((delta) => ({ type: `${type}-delta` as const, id, delta })),
    { type: `${type}-end`, id },
  ];
}
