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
import { sealCall, sealReasoning, unseal } from './openai-responses-seal.ts';
import { openAiResponsesTranslation as translation } from './openai-responses-translation.ts';

const read = (request: object) => translation.readRequest({ model: 'm', input: 'Hi', ...request });
const refusedFields = (request: object): string[] => {
  try {
    read(request);
  } catch (error) {
    return (error as { errors: { path: string }[] }).errors.map(({ path }) => path);
  }
  return [];
};

describe('a request in the neutral form', () => {
  it('has instructions and texts as messages', () => {
    expect(read({ instructions: 'Be brief.' }).prompt).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
    ]);
    const input = [
      { role: 'developer', content: [{ type: 'input_text', text: 'Rules' }] },
      { type: 'message', role: 'user', content: 'One' },
      {
        ...{ type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', phase: 'final_answer' },
        content: [
          { type: 'output_text', text: 'Two', annotations: [{ type: 'url_citation' }], logprobs: [] },
          { type: 'refusal', refusal: 'No' },
        ],
      },
    ];
    expect(read({ input }).prompt).toEqual([
      { role: 'system', content: 'Rules' },
      { role: 'user', content: [{ type: 'text', text: 'One' }] },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'Two' },
          { type: 'text', text: 'No' },
        ],
      },
    ]);
  });

  it('gathers what a model said in one turn, and the outputs of its calls', () => {
    const signed = { anthropic: { signature: 's1' } };
    const input = [
      { role: 'user', content: 'Weather?' },
      {
        ...{ type: 'reasoning', id: 'rs_1', encrypted_content: sealReasoning(signed) },
        summary: [{ type: 'summary_text', text: 'Hm' }],
      },
      { type: 'reasoning', id: 'rs_2', summary: [], encrypted_content: 'gAAAA-of-openai' },
      { role: 'assistant', content: 'I look.' },
      { type: 'function_call', id: 'fc_1', call_id: 'a', name: 'weather', arguments: '{"city":"Oslo"}' },
      { type: 'function_call', call_id: 'b', name: 'now', arguments: '' },
      {
        type: 'reasoning',
        summary: [],
        encrypted_content: sealCall('b', { google: { thoughtSignature: 't' } }),
      },
      { type: 'custom_tool_call', call_id: 'c', name: 'shell', input: 'ls' },
      { type: 'function_call_output', call_id: 'a', output: 'clear' },
      {
        ...{ type: 'function_call_output', call_id: 'b' },
        output: [
          { type: 'input_text', text: 'See' },
          { type: 'input_image', image_url: 'https://pictures.example/a.png' },
        ],
      },
      { type: 'custom_tool_call_output', call_id: 'c', output: [{ type: 'input_text', text: 'x' }] },
    ];
    const { prompt } = read({ input });
    expect(prompt.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool']);
    expect(prompt[1]?.content).toEqual([
      { type: 'reasoning', text: 'Hm', providerOptions: signed },
      { type: 'text', text: 'I look.' },
      { type: 'tool-call', toolCallId: 'a', toolName: 'weather', input: { city: 'Oslo' } },
      {
        ...{ type: 'tool-call', toolCallId: 'b', toolName: 'now', input: {} },
        providerOptions: { google: { thoughtSignature: 't' } },
      },
      { type: 'tool-call', toolCallId: 'c', toolName: 'shell', input: { input: 'ls' } },
    ]);
    expect(prompt[2]?.content).toMatchObject([
      { toolCallId: 'a', toolName: 'weather', output: { type: 'text', value: 'clear' } },
      {
        toolCallId: 'b',
        toolName: 'now',
        output: { type: 'content', value: [{ text: 'See' }, { type: 'file' }] },
      },
      { toolCallId: 'c', toolName: 'shell', output: { type: 'text', value: 'x' } },
    ]);
  });

  it('has pictures, documents and recordings with their types', () => {
    const content = [
      { type: 'input_image', image_url: 'data:image/webp;base64,AAAA', detail: 'high' },
      { type: 'input_image', image_url: 'https://pictures.example/a.png?x=1' },
      { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,BBBB' },
      { type: 'input_file', filename: 'notes.md', file_data: 'CCCC' },
      { type: 'input_file', file_url: 'https://files.example/report.pdf?v=2' },
      { type: 'input_audio', input_audio: { data: 'DDDD', format: 'mp3' } },
      { type: 'input_text', text: 'So', prompt_cache_breakpoint: { mode: 'explicit' } },
    ];
    expect(read({ input: [{ role: 'user', content }] }).prompt[0]?.content).toMatchObject([
      { mediaType: 'image/webp', data: { type: 'data', data: 'AAAA' } },
      { mediaType: 'image/png', data: { type: 'url', url: new URL('https://pictures.example/a.png?x=1') } },
      { mediaType: 'application/pdf', filename: 'a.pdf', data: { data: 'BBBB' } },
      { mediaType: 'text/markdown', filename: 'notes.md', data: { data: 'CCCC' } },
      { mediaType: 'application/pdf', data: { type: 'url' } },
      { mediaType: 'audio/mpeg', data: { data: 'DDDD' } },
      { type: 'text', text: 'So', providerOptions: { anthropic: { cacheControl: { type: 'ephemeral' } } } },
    ]);
  });

  it('has settings by their neutral names, and only those that were given', () => {
    const schema = { type: 'object', properties: {} };
    expect(
      read({
        ...{ max_output_tokens: 5, temperature: 0, top_p: 0.5, parallel_tool_calls: false },
        ...{ reasoning: { effort: 'high', summary: 'auto' }, tool_choice: { type: 'function', name: 'f' } },
        text: { format: { type: 'json_schema', name: 'trip', schema, strict: true }, verbosity: 'medium' },
        tools: [
          { type: 'function', name: 'f', parameters: schema, strict: true },
          { type: 'custom', name: 'c', format: { type: 'text' } },
        ],
      }),
    ).toEqual({
      prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
      ...{ maxOutputTokens: 5, temperature: 0, topP: 0.5, reasoning: 'high' },
      responseFormat: { type: 'json', schema, name: 'trip' },
      toolChoice: { type: 'tool', toolName: 'f' },
      tools: [
        { type: 'function', name: 'f', inputSchema: schema, strict: true },
        expect.objectContaining({ name: 'c', inputSchema: expect.objectContaining({ required: ['input'] }) }),
      ],
      providerOptions: {
        openai: { parallelToolCalls: false },
        anthropic: { disableParallelToolUse: true },
        google: { thinkingConfig: { includeThoughts: true } },
      },
    });
    expect(Object.keys(read({}))).toEqual(['prompt']);
  });

  it('offers only the tools that a choice allows', () => {
    const tools = ['a', 'b'].map((name) => ({ type: 'function', name, parameters: {} }));
    const allowed = [{ type: 'function', name: 'b' }];
    const options = read({ tools, tool_choice: { type: 'allowed_tools', mode: 'required', tools: allowed } });
    expect(options.toolChoice).toEqual({ type: 'required' });
    expect(options.tools?.map(({ name }) => name)).toEqual(['b']);
  });

  it('leaves out what says nothing about the answer', () => {
    const harmless = {
      ...{ store: false, background: false, truncation: 'disabled', top_logprobs: 0, service_tier: 'auto' },
      ...{ user: 'u', safety_identifier: 's', metadata: { a: 'b' }, prompt_cache_key: 'k', stream: true },
      ...{ include: ['reasoning.encrypted_content'], previous_response_id: null, conversation: null },
      ...{ text: { format: { type: 'text' } }, stream_options: { include_obfuscation: false } },
    };
    expect(Object.keys(read(harmless))).toEqual(['prompt']);
  });

  const f = { type: 'function', name: 'f' };
  const user = (...content: object[]) => ({ input: [{ role: 'user', content }] });
  it.each<[string, object, string[]]>([
    ['stored replies', { store: true }, ['store']],
    [
      'kept conversations',
      { previous_response_id: 'r', conversation: 'c' },
      ['previous_response_id', 'conversation'],
    ],
    ['kept prompts', { prompt: { id: 'p' } }, ['prompt']],
    ['kept items', { input: [{ type: 'item_reference', id: 'i' }] }, ['input.0']],
    ['kept files', user({ type: 'input_image', file_id: 'f' }), ['input.0.content.0.file_id']],
    ['tools that OpenAI runs', { tools: [f, { type: 'web_search' }] }, ['tools.1']],
    ['their results', { input: [{ type: 'web_search_call', id: 'ws' }] }, ['input.0.type']],
    ['grammars', { tools: [{ type: 'custom', name: 'c', format: { type: 'grammar' } }] }, ['tools.0.format']],
    ['unknown tools chosen', { tools: [f], tool_choice: { type: 'function', name: 'g' } }, ['tool_choice']],
    ['truncation', { truncation: 'auto' }, ['truncation']],
    [
      'likelihoods',
      { top_logprobs: 2, include: ['message.output_text.logprobs'] },
      ['top_logprobs', 'include'],
    ],
    ['tiers', { service_tier: 'flex' }, ['service_tier']],
    ['verbosity', { text: { verbosity: 'low' } }, ['text.verbosity']],
    ['unknown efforts', { reasoning: { effort: 'huge' } }, ['reasoning.effort']],
    ['unknown fields', { future: 1 }, ['future']],
    ['unknown members of tools', { tools: [{ ...f, output_schema: {} }] }, ['tools.0.output_schema']],
    ['unknown members of items', { input: [{ role: 'user', content: 'x', mood: 'good' }] }, ['input.0.mood']],
    [
      'unknown members of parts',
      user({ type: 'input_text', text: 'x', mood: 1 }),
      ['input.0.content.0.mood'],
    ],
    [
      'outputs of no call',
      { input: [{ type: 'function_call_output', call_id: 'z', output: '' }] },
      ['input.0.call_id'],
    ],
    [
      'files of no known type',
      user({ type: 'input_file', file_url: 'https://a.example/b' }),
      ['input.0.content.0.filename'],
    ],
    [
      'other addresses',
      user({ type: 'input_image', image_url: 'file:///etc/passwd' }),
      ['input.0.content.0.image_url'],
    ],
    [
      'broken arguments',
      { input: [{ type: 'function_call', call_id: 'a', name: 'f', arguments: '{' }] },
      ['input.0.arguments'],
    ],
    ['numbers as text', { temperature: '1' }, ['temperature']],
    ['no input', { input: null }, ['input']],
    ['wrong roles', { input: [{ role: 'king', content: 'x' }] }, ['input.0.role']],
  ])('refuses %s by name', (_, request, paths) => {
    expect(refusedFields(request)).toEqual(paths);
  });
});

describe('what is sealed into a reasoning item', () => {
  it('comes back as it went, and nothing else does', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }), (signature, callId) => {
        const google = { google: { thoughtSignature: signature } };
        expect(unseal(sealReasoning({ anthropic: { signature, cost: 1 } }))?.reasoning).toEqual({
          anthropic: { signature },
        });
        expect(unseal(sealCall(callId, google))?.calls.get(callId)).toEqual(google);
      }),
    );
    expect(sealReasoning({ anthropic: { cost: 1 } })).toBeNull();
    expect(sealCall('a', undefined)).toBeNull();
    for (const foreign of [undefined, 7, 'gAAAA', 'gh1.', 'gh1.!!', 'gh1.bnVsbA']) {
      const opened = unseal(foreign);
      expect([opened?.reasoning, opened?.calls.size ?? 0]).toEqual([undefined, 0]);
    }
    const options = Buffer.from(JSON.stringify({ reasoning: { format: 'made-up', signature: 's' } }));
    expect(unseal(`gh1.${options.toString('base64url')}`)?.reasoning).toBeUndefined();
  });
});

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
