import type {
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
} from '@ai-sdk/provider';
import fc from 'fast-check';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { ReplyContext } from '../translation/translation.ts';
import { openAiResponsesTranslation as translation } from './openai-responses-translation.ts';

const context: ReplyContext = {
  callId: '01920000-0000-7000-8000-000000000001',
  model: 'fast',
  createdAt: 1_700_000_000,
  request: { tools: [{ type: 'custom', name: 'shell' }] },
};
const usage: LanguageModelV4GenerateResult['usage'] = {
  inputTokens: { total: 10, noCache: 7, cacheRead: 2, cacheWrite: 1 },
  outputTokens: { total: 5, text: 3, reasoning: 2 },
};
const stop: LanguageModelV4FinishReason = { unified: 'stop', raw: 'end_turn' };

const whole = (content: LanguageModelV4Content[], finishReason = stop): OpenAI.Responses.Response =>
  JSON.parse(
    translation.writeReply({ content, finishReason, usage, warnings: [] }, context).toString('utf8'),
  );

function events(parts: readonly LanguageModelV4StreamPart[]): string {
  const writer = translation.openStream(context);
  return parts.map((part) => writer.write(part)).join('') + writer.end();
}

/** As the official client gathers them. */
async function gather(stream: string): Promise<OpenAI.Responses.Response> {
  const fetch = async () => new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
  const client = new OpenAI({ apiKey: 'sk-test', baseURL: 'http://127.0.0.1:1/v1', fetch });
  const {
    output_text: _text,
    output_parsed: _parsed,
    ...response
  } = await client.responses.stream({ model: 'fast', input: 'Hi' }).finalResponse();
  const plain = JSON.parse(JSON.stringify(response)) as OpenAI.Responses.Response;
  for (const item of plain.output as unknown as Record<string, unknown>[]) {
    // The client's helpers add these.
    delete item.parsed_arguments;
    for (const part of Array.isArray(item.content) ? item.content : []) delete part.parsed;
  }
  return plain;
}

const metadata = fc.option(
  fc.constantFrom({ anthropic: { signature: 'sig' } }, { google: { thoughtSignature: 'th' } }),
  { nil: undefined },
);
const pieces = fc.array(fc.string({ minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 });
const input = fc.dictionary(fc.string({ maxLength: 3 }), fc.string({ maxLength: 3 }), { maxKeys: 2 });

/** What a model says, with the pieces in which a stream has it. */
const said = fc.oneof(
  fc.record({ type: fc.constant('text' as const), pieces }),
  fc.record({ type: fc.constant('reasoning' as const), pieces, metadata }),
  fc.record({ type: fc.constant('hidden' as const), metadata }),
  fc.record({
    type: fc.constant('call' as const),
    name: fc.constantFrom('f', 'shell'),
    input,
    metadata,
    told: fc.boolean(),
  }),
  fc.record({ type: fc.constant('image' as const) }),
);
type Said = typeof said extends fc.Arbitrary<infer T> ? T : never;

function contentOf(part: Said, index: number): LanguageModelV4Content {
  switch (part.type) {
    case 'text':
      return { type: 'text', text: part.pieces.join('') };
    case 'reasoning':
      return { type: 'reasoning', text: part.pieces.join(''), ...signed(part.metadata) };
    case 'hidden':
      return { type: 'reasoning', text: '', ...signed(part.metadata) };
    case 'call':
      return {
        type: 'tool-call',
        toolCallId: `call-${index}`,
        toolName: part.name,
        input: JSON.stringify(part.input),
        ...signed(part.metadata),
      };
    case 'image':
      return { type: 'file', mediaType: 'image/png', data: { type: 'data', data: 'AAAA' } };
  }
}

function partsOf(part: Said, index: number): LanguageModelV4StreamPart[] {
  const id = String(index);
  switch (part.type) {
    case 'text':
      return [
        { type: 'text-start', id },
        ...part.pieces.map((delta) => ({ type: 'text-delta' as const, id, delta })),
        { type: 'text-end', id },
      ];
    case 'reasoning':
    case 'hidden': {
      const deltas = part.type === 'hidden' ? [] : part.pieces;
      return [
        { type: 'reasoning-start', id },
        ...deltas.map((delta) => ({ type: 'reasoning-delta' as const, id, delta })),
        { type: 'reasoning-delta', id, delta: '', ...signed(part.metadata) },
        { type: 'reasoning-end', id },
      ];
    }
    case 'call': {
      const toolCallId = `call-${index}`;
      const text = JSON.stringify(part.input);
      const told: LanguageModelV4StreamPart[] = [
        { type: 'tool-input-start', id: toolCallId, toolName: part.name, ...signed(part.metadata) },
        { type: 'tool-input-delta', id: toolCallId, delta: text.slice(0, 2) },
        { type: 'tool-input-delta', id: toolCallId, delta: text.slice(2) },
        { type: 'tool-input-end', id: toolCallId },
      ];
      const call = { type: 'tool-call' as const, toolCallId, toolName: part.name, input: text };
      return [...(part.told ? told : []), { ...call, ...signed(part.metadata) }];
    }
    case 'image':
      return [{ type: 'file', mediaType: 'image/png', data: { type: 'data', data: 'AAAA' } }];
  }
}

function signed(providerMetadata: Record<string, Record<string, string>> | undefined) {
  return providerMetadata ? { providerMetadata } : {};
}

describe('a reply', () => {
  it('is the same for the official client, whether it came in one piece or as events', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(said, { maxLength: 6 }), async (parts) => {
        const stream = events([...parts.flatMap(partsOf), { type: 'finish', usage, finishReason: stop }]);
        expect(await gather(stream)).toEqual(whole(parts.map(contentOf)));
      }),
      { numRuns: 150 },
    );
  });

  it('keeps calls apart that a provider mingles, and shows where one was cut off', async () => {
    const start = (id: string) => ({ type: 'tool-input-start' as const, id, toolName: 'f' });
    const delta = (id: string, text: string) => ({ type: 'tool-input-delta' as const, id, delta: text });
    const call = { type: 'tool-call' as const, toolCallId: 'b', toolName: 'f', input: '{"n":2}' };
    const finish = { type: 'finish' as const, usage, finishReason: { unified: 'length' as const, raw: 'x' } };
    const mingled = [
      start('a'),
      delta('a', '{"n'),
      start('b'),
      delta('b', '{"n":'),
      delta('a', '":'),
      delta('b', '2}'),
    ];
    expect(await gather(events([...mingled, call, finish]))).toMatchObject({
      status: 'incomplete',
      output: [
        { call_id: 'a', arguments: '{"n":', status: 'incomplete' },
        { call_id: 'b', arguments: '{"n":2}', status: 'completed' },
      ],
    });
  });

  it('has its numbers, and repeats of the request what clients look for', () => {
    expect(whole([{ type: 'text', text: 'Hi' }])).toMatchObject({
      ...{ object: 'response', created_at: 1_700_000_000, status: 'completed', model: 'fast', store: false },
      ...{ parallel_tool_calls: true, tool_choice: 'auto', text: { format: { type: 'text' } }, metadata: {} },
      tools: [{ type: 'custom', name: 'shell' }],
      usage: {
        input_tokens: 10,
        input_tokens_details: { cached_tokens: 2, cache_write_tokens: 1 },
        output_tokens: 5,
        output_tokens_details: { reasoning_tokens: 2 },
        total_tokens: 15,
      },
    });
  });

  it('says why it is incomplete', async () => {
    for (const [unified, reason] of [
      ['length', 'max_output_tokens'],
      ['content-filter', 'content_filter'],
    ] as const) {
      const finishReason = { unified, raw: 'x' };
      const shape = {
        status: 'incomplete',
        incomplete_details: { reason },
        output: [{ status: 'incomplete' }],
      };
      expect(whole([{ type: 'text', text: 'Hi' }], finishReason)).toMatchObject(shape);
      const parts = [
        ...partsOf({ type: 'text', pieces: ['Hi'] }, 0),
        { type: 'finish' as const, usage, finishReason },
      ];
      expect(await gather(events(parts))).toMatchObject(shape);
    }
  });

  it('has its sources as annotations', async () => {
    const source = {
      type: 'source' as const,
      sourceType: 'url' as const,
      id: '1',
      url: 'https://a.example/',
      title: 'A',
    };
    const annotations = [
      { type: 'url_citation', url: 'https://a.example/', title: 'A', start_index: 2, end_index: 2 },
    ];
    const shape = { output: [{ content: [{ text: 'Hi', annotations }] }] };
    expect(whole([{ type: 'text', text: 'Hi' }, source])).toMatchObject(shape);
    const finish = { type: 'finish' as const, usage, finishReason: stop };
    expect(
      await gather(events([...partsOf({ type: 'text', pieces: ['Hi'] }, 0), source, finish])),
    ).toMatchObject(shape);
  });

  it('ends with an error that the official client raises, and says nothing before the model does', async () => {
    const writer = translation.openStream(context);
    const early: LanguageModelV4StreamPart[] = [
      { type: 'stream-start', warnings: [] },
      { type: 'response-metadata', modelId: 'model-1' },
      { type: 'text-start', id: '0' },
    ];
    expect(early.map((part) => writer.write(part)).join('')).toBe('');
    const begun = writer.write({ type: 'text-delta', id: '0', delta: 'Hi' });
    expect(begun).toContain('"model":"model-1"');
    const failed = begun + writer.write({ type: 'error', error: new Error('Out of order') });
    expect(writer.end()).toBe('');
    await expect(gather(failed)).rejects.toThrow(/Out of order/);
  });

  it('writes a provider’s refusal as OpenAI does', () => {
    const refusal = translation.writeError({ status: 429, message: 'Slow down', code: 'rate_limit_error' });
    expect(JSON.parse(refusal.toString('utf8'))).toEqual({
      error: { message: 'Slow down', type: 'rate_limit_error', param: null, code: 'rate_limit_error' },
    });
  });
});
