import type { LanguageModelV4GenerateResult } from '@ai-sdk/provider';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../platform/errors.ts';
import type { JsonObject } from '../json-object.ts';
import { anthropicTranslation } from './anthropic-translation.ts';

const { readRequest, writeReply, writeError } = anthropicTranslation;
const base = { model: 'fast', max_tokens: 100, messages: [{ role: 'user', content: 'hi' }] };
const read = (more: JsonObject) => readRequest({ ...base, ...more });
const ask = (content: unknown) => read({ messages: [{ role: 'user', content }] }).prompt;
const text = (said: string) => ({ type: 'text', text: said });

/** The fields that a request is refused for. */
function refusedFields(request: JsonObject): string[] {
  try {
    readRequest(request);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toBe('invalid');
    return (error as AppError).errors.map(({ path }) => path);
  }
}

describe('a messages request in the neutral form', () => {
  it('carries its settings', () => {
    const options = read({
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      stop_sequences: ['END'],
      stream: true,
      metadata: { user_id: 'u' },
      service_tier: 'auto',
      thinking: { type: 'enabled', budget_tokens: 10_000 },
      output_config: { format: { type: 'json_schema', schema: { type: 'object' } } },
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
      tools: [
        {
          name: 'f',
          description: 'Does it',
          input_schema: { type: 'object' },
          strict: true,
          type: 'custom',
          cache_control: { type: 'ephemeral', ttl: '1h' },
          allowed_callers: ['direct'],
          eager_input_streaming: true,
        },
      ],
    });
    expect(options).toEqual({
      prompt: [{ role: 'user', content: [text('hi')] }],
      maxOutputTokens: 100,
      temperature: 0.5,
      topP: 0.9,
      topK: 40,
      stopSequences: ['END'],
      reasoning: 'medium',
      responseFormat: { type: 'json', schema: { type: 'object' } },
      toolChoice: { type: 'required' },
      providerOptions: {
        openai: { parallelToolCalls: false },
        anthropic: { disableParallelToolUse: true },
        google: { thinkingConfig: { includeThoughts: true } },
      },
      tools: [
        {
          type: 'function',
          name: 'f',
          description: 'Does it',
          strict: true,
          inputSchema: { type: 'object' },
          providerOptions: {
            anthropic: { cacheControl: { type: 'ephemeral', ttl: '1h' } },
            amazonBedrock: { cachePoint: { type: 'default', ttl: '1h' } },
          },
        },
      ],
    });
  });

  it('asks for thinking by effort', () => {
    const reasoning = (thinking: unknown, effort?: string) =>
      read({ thinking, ...(effort ? { output_config: { effort } } : {}) }).reasoning;
    const budget = (budget_tokens: number) => reasoning({ type: 'enabled', budget_tokens });
    expect([budget(1_024), budget(4_096), budget(16_384), budget(32_000)]).toEqual([
      'low',
      'low',
      'medium',
      'high',
    ]);
    expect(reasoning({ type: 'adaptive' })).toBeUndefined();
    expect(reasoning({ type: 'adaptive' }, 'max')).toBe('max');
    expect(reasoning(undefined, 'low')).toBe('low');
    expect(reasoning({ type: 'disabled' }, 'high')).toBeUndefined();
  });

  it('keeps the system’s text together, up to a mark for the cache', () => {
    const marked = { ...text('b'), cache_control: { type: 'ephemeral' } };
    expect(read({ system: 'x' }).prompt[0]).toEqual({ role: 'system', content: 'x' });
    const system = (blocks: unknown[]) => read({ system: blocks }).prompt.slice(0, -1);
    expect(system([text('a'), text('b')])).toEqual([{ role: 'system', content: 'a\n\nb' }]);
    expect(system([text('a'), marked, text('c')])).toMatchObject([
      { role: 'system', content: 'a\n\nb', providerOptions: { anthropic: {}, amazonBedrock: {} } },
      { role: 'system', content: 'c' },
    ]);
  });

  it('carries pictures, documents and passages', () => {
    const image = { type: 'base64', media_type: 'image/png', data: 'AAAA' };
    const pdf = { type: 'base64', media_type: 'application/pdf', data: 'BBBB' };
    const [message] = ask([
      { type: 'image', source: image },
      { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
      {
        type: 'document',
        source: pdf,
        title: 'a.pdf',
        context: 'The first draft',
        citations: { enabled: false },
      },
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'Said.' }, title: 'Notes' },
      {
        type: 'document',
        source: { type: 'content', content: [{ type: 'image', source: image }, text('t')] },
      },
      { type: 'search_result', source: 'https://example.com', title: 'Found', content: [text('a passage')] },
    ]);
    expect(message?.content).toMatchObject([
      { type: 'file', mediaType: 'image/png', data: { type: 'data', data: 'AAAA' } },
      {
        type: 'file',
        mediaType: 'image/*',
        data: { type: 'url', url: new URL('https://example.com/a.png') },
      },
      text('The first draft'),
      { type: 'file', mediaType: 'application/pdf', filename: 'a.pdf', data: { data: 'BBBB' } },
      text('Notes'),
      text('Said.'),
      { type: 'file', mediaType: 'image/png' },
      text('t'),
      text('Found (https://example.com)'),
      text('a passage'),
    ]);
    // A refusal that comes when the provider is known can name the block.
    expect(message?.content[0]).toMatchObject({
      providerOptions: { gatehouse: { path: 'messages.0.content.0.source' } },
    });
  });

  it('gives results to tools first, and their files to the user', () => {
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } };
    const uses = ['t1', 't2', 't3'].map((id) => ({ type: 'tool_use', id, name: `f_${id}`, input: { a: 1 } }));
    const { prompt } = read({
      messages: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: [text('Let me see.'), ...uses] },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 't1', content: 'one' },
            { type: 'tool_result', tool_use_id: 't2', content: [text('no such city')], is_error: true },
            { type: 'tool_result', tool_use_id: 't3', content: [image] },
            text('Well?'),
          ],
        },
      ],
    });
    expect(prompt.slice(1)).toMatchObject([
      {
        role: 'assistant',
        content: [
          text('Let me see.'),
          { type: 'tool-call', toolCallId: 't1', toolName: 'f_t1', input: { a: 1 } },
          { toolCallId: 't2' },
          { toolCallId: 't3' },
        ],
      },
      {
        role: 'tool',
        content: [
          { type: 'tool-result', toolCallId: 't1', toolName: 'f_t1', output: { type: 'text', value: 'one' } },
          { toolCallId: 't2', output: { type: 'error-text', value: 'no such city' } },
          { toolCallId: 't3', output: { type: 'text', value: 'See the files that follow.' } },
        ],
      },
      {
        role: 'user',
        content: [
          text('Files that the tool "f_t3" gave for the call t3:'),
          { type: 'file', mediaType: 'image/png' },
          text('Well?'),
        ],
      },
    ]);
  });

  it('names every field that has no place in it', () => {
    const source = { type: 'file', file_id: 'file_1' };
    expect(
      refusedFields({
        model: 'fast',
        container: { id: 'c' },
        mcp_servers: [{ name: 'm' }],
        service_tier: 'flex',
        speed: 'fast',
        context_management: {},
        thinking: { type: 'between_tools' },
        stop_sequences: [1],
        tool_choice: { type: 'some' },
        tools: [
          { type: 'web_search_20250305', name: 'web_search' },
          { name: 'f', defer_loading: true, input_examples: [{}] },
        ],
        messages: [
          {
            role: 'user',
            content: [
              { type: 'image', source },
              { type: 'container_upload', file_id: 'x' },
            ],
          },
          {
            role: 'assistant',
            content: [{ type: 'server_tool_use', id: 's', name: 'web_search', input: {} }],
          },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'unknown', content: 'x' }] },
          { role: 'tool', content: 'x' },
        ],
      }).sort(),
    ).toEqual(
      [
        ...['container', 'context_management', 'max_tokens', 'mcp_servers', 'service_tier', 'speed'],
        ...['messages.0.content.0.source.type', 'messages.0.content.1.type', 'messages.1.content.0.type'],
        ...['messages.2.content.0.tool_use_id', 'messages.3.role', 'stop_sequences.0', 'thinking.type'],
        ...['tool_choice.type', 'tools.0.type', 'tools.1.defer_loading', 'tools.1.input_examples'],
      ].sort(),
    );
  });
});

describe('a reply as a message', () => {
  const context = { callId: '0192-ab', model: 'fast', createdAt: 0, request: {} };
  const result = (more: Partial<LanguageModelV4GenerateResult>): LanguageModelV4GenerateResult => ({
    content: [],
    finishReason: { unified: 'stop', raw: 'stop' },
    usage: {
      inputTokens: { total: 10, noCache: undefined, cacheRead: 4, cacheWrite: undefined },
      outputTokens: { total: 3, text: 3, reasoning: undefined },
    },
    warnings: [],
    ...more,
  });
  const reply = (more: Partial<LanguageModelV4GenerateResult>, request: JsonObject = {}) =>
    JSON.parse(writeReply(result(more), { ...context, request }).toString());

  it('has its blocks, the reason it ends, and usage without what the cache gave', () => {
    expect(
      reply({
        content: [
          { type: 'text', text: 'I look.' },
          { type: 'tool-call', toolCallId: 't1', toolName: 'f', input: '{"a":1}' },
          { type: 'tool-call', toolCallId: 't2', toolName: 'g', input: '' },
        ],
        response: { modelId: 'gpt-4o-mini-2024-07-18' },
      }),
    ).toEqual({
      id: 'msg_0192ab',
      type: 'message',
      role: 'assistant',
      model: 'gpt-4o-mini-2024-07-18',
      content: [
        { type: 'text', text: 'I look.', citations: null },
        { type: 'tool_use', id: 't1', name: 'f', input: { a: 1 } },
        { type: 'tool_use', id: 't2', name: 'g', input: {} },
      ],
      stop_reason: 'tool_use',
      stop_sequence: null,
      usage: {
        input_tokens: 6,
        cache_read_input_tokens: 4,
        cache_creation_input_tokens: 0,
        output_tokens: 3,
      },
    });
  });

  it.each([
    ['Gemini', { google: { thoughtSignature: 'c2ln' } }],
    ['Bedrock', { amazonBedrock: { signature: 'c2ln' } }],
  ])('brings what %s signed back to it in the next round', (_, providerMetadata) => {
    const { content } = reply({
      content: [
        { type: 'reasoning', text: 'Hm.', providerMetadata },
        { type: 'tool-call', toolCallId: 't1', toolName: 'f', input: '{}', providerMetadata },
        { type: 'tool-call', toolCallId: 't2', toolName: 'f', input: '{}' },
      ],
    });
    const { prompt } = read({ messages: [...base.messages, { role: 'assistant', content }] });
    expect(prompt[1]?.content).toMatchObject([
      { type: 'reasoning', text: 'Hm.', providerOptions: providerMetadata },
      { type: 'tool-call', toolCallId: 't1', providerOptions: providerMetadata },
      { type: 'tool-call', toolCallId: 't2' },
    ]);
    expect(prompt[1]?.content[2]).not.toHaveProperty('providerOptions');
  });

  it('brings back encrypted thoughts, and forgets those that nobody signed', () => {
    const providerMetadata = { amazonBedrock: { redactedData: 'c2ln' } };
    const { content } = reply({
      content: [
        { type: 'reasoning', text: '', providerMetadata },
        { type: 'reasoning', text: 'Hm.' },
        { type: 'text', text: 'Hi' },
      ],
    });
    expect(content.map(({ type }: JsonObject) => type)).toEqual(['redacted_thinking', 'thinking', 'text']);
    const { prompt } = read({ messages: [...base.messages, { role: 'assistant', content }] });
    expect(prompt[1]?.content).toMatchObject([
      { type: 'reasoning', providerOptions: providerMetadata },
      text('Hi'),
    ]);
    expect(prompt[1]?.content).toHaveLength(2);
  });

  it('is an error of the API where the provider refused', () => {
    const error = (status: number) =>
      JSON.parse(writeError({ status, message: 'No.', code: null }).toString()).error.type;
    expect([400, 404, 413, 422, 429, 500, 529].map(error)).toEqual([
      'invalid_request_error',
      'not_found_error',
      'request_too_large',
      'invalid_request_error',
      'rate_limit_error',
      'api_error',
      'overloaded_error',
    ]);
  });
});
