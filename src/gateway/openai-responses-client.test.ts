import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { ModelPath } from '../../test/harness/model-path.ts';
import { gathered, modelPathSuite, onlyRow } from '../../test/harness/model-path-suite.ts';
import { onePixel } from '../../tools/simulator/testing.ts';
import { sealReasoning } from './dialects/openai-responses-seal.ts';

const { start, providerUrl, lastCall, simulator } = modelPathSuite();
const clientOf = (path: ModelPath) =>
  new OpenAI({ apiKey: 'gh_test', baseURL: `${path.url}/v1`, maxRetries: 0 });

const hello = { model: 'fast', input: 'Hello there' };
const weather: OpenAI.Responses.FunctionTool = {
  type: 'function',
  name: 'weather',
  description: 'How the weather is',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  strict: false,
};

type OutputItem = OpenAI.Responses.ResponseOutputItem;
const isCall = (item: OutputItem): item is OpenAI.Responses.ResponseFunctionToolCall =>
  item.type === 'function_call';
const isCustomCall = (item: OutputItem): item is OpenAI.Responses.ResponseCustomToolCall =>
  item.type === 'custom_tool_call';

/** A model path whose route `fast` leads to a provider that does not speak this dialect. */
const startAnthropic = () =>
  start({
    providers: { claude: { baseUrl: providerUrl(), kind: 'anthropic' } },
    routes: { fast: [[{ provider: 'claude', model: 'claude-sonnet-4-5' }]] },
  });

describe('the official OpenAI client, its responses answered by another provider', () => {
  it('gets a response, and the ledger has the provider’s own usage', async () => {
    const path = await startAnthropic();
    const response = await clientOf(path).responses.create({
      ...hello,
      instructions: 'Be brief.',
      max_output_tokens: 500,
      metadata: { order: '4711' },
    });
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      error: null,
      incomplete_details: null,
      instructions: 'Be brief.',
      max_output_tokens: 500,
      metadata: { order: '4711' },
      store: false,
      output: [{ type: 'message', role: 'assistant', status: 'completed' }],
    });
    expect(response.output_text).toContain('Hello there');
    const told = lastCall()?.usage as Record<string, number>;
    expect(response.usage?.output_tokens).toBe(told.output_tokens);
    expect(await onlyRow(path)).toMatchObject({
      status: 'ok',
      dialect: 'openai-responses',
      raw_usage: told,
      estimated: false,
    });
  });

  it('streams the same events as OpenAI does, in their order', async () => {
    const path = await startAnthropic();
    const events = await gathered(await clientOf(path).responses.create({ ...hello, stream: true }));
    const types = events.map(({ type }) => type).filter((type, n, all) => type !== all[n - 1]);
    expect(types).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, n) => n));
    const told = lastCall()?.usage as Record<string, number>;
    expect(await onlyRow(path)).toMatchObject({
      ...{ status: 'ok', streamed: true, estimated: false },
      ...{ input_tokens: told.input_tokens, output_tokens: told.output_tokens },
    });
  });

  it('makes of a stream what it would have got in one piece', async () => {
    const path = await startAnthropic();
    const client = clientOf(path);
    const asked = { ...hello, reasoning: { effort: 'low' as const }, tools: [weather] };
    const whole = await client.responses.create(asked);
    const streamed = await client.responses.stream(asked).finalResponse();
    const shape = ({ output }: OpenAI.Responses.Response) =>
      output.map(({ type, id }) => [type, id?.replace(/_.*/, '')]);
    expect(shape(streamed as never)).toEqual(shape(whole));
    expect(streamed.output_text).toBe(whole.output_text);
    expect(whole.output.map(({ type }) => type)).toEqual(['reasoning', 'function_call']);
  });

  it('calls tools in two rounds, and what the model thought goes back with its signature', async () => {
    const path = await startAnthropic();
    const client = clientOf(path);
    const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: 'How is the weather in Oslo?' }];
    const asked = { model: 'fast', tools: [weather], reasoning: { effort: 'low' as const } };
    for (const streamed of [false, true]) {
      const round = [...input];
      const first = streamed
        ? await client.responses.stream({ ...asked, input: round }).finalResponse()
        : await client.responses.create({ ...asked, input: round });
      const call = (first.output as OutputItem[]).find(isCall);
      expect(call).toMatchObject({ name: 'weather', status: 'completed' });
      round.push(...(first.output as OpenAI.Responses.ResponseInput));
      round.push({ type: 'function_call_output', call_id: call?.call_id ?? '', output: '{"sky":"clear"}' });
      // The simulator refuses a thought that was changed or has lost its signature.
      const second = await client.responses.create({ ...asked, input: round });
      expect(second.output_text).not.toBe('');
      const sent = JSON.parse(lastCall()?.requestBody ?? '{}');
      expect(sent.messages[1].content.map((part: { type: string }) => part.type)).toEqual([
        'thinking',
        'tool_use',
      ]);
      expect(sent.messages[2].content[0]).toMatchObject({ type: 'tool_result', tool_use_id: call?.call_id });
    }
  });

  it('hands Gemini’s signature on a call back to it, and to nobody else', async () => {
    const gemini = { baseUrl: providerUrl().replace('/v1', '/v1beta'), kind: 'gemini' as const };
    const path = await start({
      providers: { gemini, claude: { baseUrl: providerUrl(), kind: 'anthropic' } },
      routes: {
        fast: [[{ provider: 'gemini', model: 'gemini-3-pro' }]],
        other: [[{ provider: 'claude', model: 'claude-sonnet-4-5' }]],
      },
    });
    const client = clientOf(path);
    const asked = { tools: [weather], reasoning: { summary: 'auto' as const } };
    const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: 'How is the weather in Oslo?' }];
    for (const streamed of [false, true]) {
      const first = streamed
        ? await client.responses.stream({ ...asked, model: 'fast', input }).finalResponse()
        : await client.responses.create({ ...asked, model: 'fast', input });
      const call = (first.output as OutputItem[]).find(isCall);
      const round = [
        ...input,
        ...(first.output as OpenAI.Responses.ResponseInput),
        { type: 'function_call_output' as const, call_id: call?.call_id ?? '', output: '{"sky":"clear"}' },
      ];
      // The simulator refuses a call that has lost its signature.
      const second = await client.responses.create({ ...asked, model: 'fast', input: round });
      expect(second.output_text).not.toBe('');
      expect(lastCall()?.requestBody).toMatch(/"thoughtSignature":"(?!skip)/);
      const elsewhere = await client.responses.create({ ...asked, model: 'other', input: round });
      expect(elsewhere.output_text).not.toBe('');
      expect(lastCall()?.requestBody).not.toMatch(/ignature/);
    }
  });

  it('can go on with a provider that did not sign what was thought', async () => {
    const gemini = { baseUrl: providerUrl().replace('/v1', '/v1beta'), kind: 'gemini' as const };
    const path = await start({
      providers: { gemini, claude: { baseUrl: providerUrl(), kind: 'anthropic' } },
      routes: {
        claude: [[{ provider: 'claude', model: 'claude-sonnet-4-5' }]],
        gemini: [[{ provider: 'gemini', model: 'gemini-2.5-pro' }]],
      },
    });
    const client = clientOf(path);
    const first = await client.responses.create({ ...hello, model: 'claude', reasoning: { effort: 'low' } });
    const [thought] = first.output;
    expect(thought?.type).toBe('reasoning');
    const onward = (item: object) => [
      { role: 'user' as const, content: 'Hello there' },
      item as OpenAI.Responses.ResponseReasoningItem,
      { role: 'assistant' as const, content: 'Hello' },
      { role: 'user' as const, content: 'Go on' },
    ];
    const atGemini = await client.responses.create({ model: 'gemini', input: onward(thought ?? {}) });
    expect(atGemini.status).toBe('completed');
    const encrypted_content = sealReasoning({ google: { thoughtSignature: 'of-gemini' } });
    const signed = { type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm' }], encrypted_content };
    const atClaude = await client.responses.create({ model: 'claude', input: onward(signed) });
    expect(atClaude.status).toBe('completed');
    expect(lastCall()?.requestBody).not.toContain('of-gemini');
  });

  it('parses what fits a schema', async () => {
    const path = await startAnthropic();
    const schema = {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
      required: ['city', 'days'],
      additionalProperties: false,
    };
    const format = { type: 'json_schema' as const, name: 'trip', strict: true, schema };
    const response = await clientOf(path).responses.parse({ ...hello, text: { format } });
    expect(response.output_parsed ?? JSON.parse(response.output_text)).toEqual({
      city: expect.any(String),
      days: expect.any(Number),
    });
    expect(response.text?.format).toMatchObject({ type: 'json_schema', name: 'trip' });
  });

  it('shows pictures', async () => {
    const path = await startAnthropic();
    const content: OpenAI.Responses.ResponseInputMessageContentList = [
      { type: 'input_text', text: 'What is this?' },
      { type: 'input_image', detail: 'auto', image_url: `data:image/png;base64,${onePixel}` },
    ];
    const response = await clientOf(path).responses.create({ ...hello, input: [{ role: 'user', content }] });
    expect(response.status).toBe('completed');
    const sent = JSON.parse(lastCall()?.requestBody ?? '{}');
    expect(sent.messages[0].content[1]).toMatchObject({
      type: 'image',
      source: { type: 'base64', media_type: 'image/png', data: onePixel },
    });
  });

  it('has custom tools, whose input is a text', async () => {
    const path = await startAnthropic();
    const tools: OpenAI.Responses.CustomTool[] = [{ type: 'custom', name: 'shell', description: 'Run it' }];
    const client = clientOf(path);
    const asked = { ...hello, tools, tool_choice: 'required' as const };
    const whole = await client.responses.create(asked);
    const streamed = await client.responses.stream(asked).finalResponse();
    for (const { output } of [whole, streamed]) {
      const call = (output as OutputItem[]).find(isCustomCall);
      expect(call).toMatchObject({ name: 'shell', input: expect.any(String) });
      expect(call?.input).not.toMatch(/^\{/);
    }
  });

  it('is told that a reply was cut off', async () => {
    const path = await startAnthropic();
    const client = clientOf(path);
    const asked = { ...hello, max_output_tokens: 3 };
    const cut = { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } };
    expect(await client.responses.create(asked)).toMatchObject(cut);
    expect(await client.responses.stream(asked).finalResponse()).toMatchObject(cut);
  });

  it('is told of every field that cannot be carried, and nothing is sent', async () => {
    const path = await startAnthropic();
    const asked = {
      model: 'fast',
      store: true,
      previous_response_id: 'resp_1',
      tools: [weather, { type: 'web_search' as const }],
      input: [
        { type: 'item_reference' as const, id: 'msg_1' },
        { role: 'user' as const, content: 'Hi' },
      ],
    };
    await expect(clientOf(path).responses.create(asked)).rejects.toMatchObject({
      status: 422,
      type: 'invalid_request_error',
      message: expect.stringMatching(/"input\.0".*"store".*"previous_response_id".*"tools\.1"/),
    });
    expect(simulator.totals().calls).toBe(0);
  });

  it('understands a provider’s refusal', async () => {
    const path = await startAnthropic();
    simulator.setFault({ kind: 'rate-limited', retryAfterS: 3_600 });
    const error = await clientOf(path)
      .responses.create(hello)
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
  });

  it('raises what breaks a stream that has begun', async () => {
    const path = await startAnthropic();
    const client = clientOf(path);
    for (const kind of ['error-event', 'cut-mid-stream'] as const) {
      simulator.setFault({ kind, afterChunks: 3 });
      const stream = await client.responses.create({ ...hello, stream: true });
      await expect(gathered(stream)).rejects.toThrow(OpenAI.APIError);
      await expect(client.responses.stream(hello).finalResponse()).rejects.toThrow(OpenAI.OpenAIError);
    }
  });
});
