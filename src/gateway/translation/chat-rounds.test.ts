import OpenAI, { type APIError } from 'openai';
import type { ChatCompletionMessage, ChatCompletionMessageParam } from 'openai/resources/chat';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ModelPath, startModelPath } from '../../../test/harness/model-path.ts';
import { testCredentials } from '../../../tools/simulator/bedrock/signature.ts';
import { createSimulator } from '../../../tools/simulator/server.ts';
import { onePixel, weatherSchema } from '../../../tools/simulator/testing.ts';

const simulator = createSimulator({
  seed: 7,
  keepBodies: true,
  apiKey: 'sk-test-upstream',
  contextTokens: 2_000,
});
const { accessKeyId, secretAccessKey } = testCredentials;
let path: ModelPath;
let client: OpenAI;

beforeAll(async () => {
  const { url } = await simulator.start();
  path = await startModelPath({
    providers: {
      anthropic: { kind: 'anthropic', baseUrl: `${url}/v1` },
      gemini: { kind: 'gemini', baseUrl: `${url}/v1beta` },
      bedrock: {
        kind: 'bedrock',
        baseUrl: url,
        keys: [{ value: `${accessKeyId}:${secretAccessKey}` }],
        settings: { awsRegion: 'eu-central-1' },
      },
    },
  });
  client = new OpenAI({ baseURL: `${path.url}/v1`, apiKey: 'sk-test', maxRetries: 0 });
});
afterEach(() => simulator.reset());
afterAll(async () => {
  await path.stop();
  await simulator.stop();
});

const models = [
  'anthropic/claude-sonnet-4-5',
  'gemini/gemini-3-pro-preview',
  'bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0',
];
const weather = {
  type: 'function' as const,
  function: { name: 'get_weather', description: 'Tells the weather', parameters: weatherSchema },
};
const question: ChatCompletionMessageParam = { role: 'user', content: 'What is the weather in Genoa?' };

type Asked = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, 'stream'>;
type Ask = (asked: Asked) => Promise<ChatCompletionMessage>;

const ways: readonly (readonly [string, Ask])[] = [
  ['whole', async (asked) => (await client.chat.completions.create(asked)).choices[0]?.message as never],
  [
    'streamed',
    async (asked) => {
      const reply = await client.chat.completions.stream(asked).finalChatCompletion();
      return reply.choices[0]?.message as never;
    },
  ],
];

describe.each(models)('%s', (model) => {
  describe.each(ways)('%s', (_way, ask) => {
    it('calls a tool, gets its result, and answers from it', async () => {
      const tools = [weather];
      const call = await ask({ model, messages: [question], tools, tool_choice: 'required' });
      expect(call.tool_calls).toMatchObject([{ type: 'function', function: { name: 'get_weather' } }]);
      const [made] = call.tool_calls ?? [];
      const given = JSON.parse(made?.type === 'function' ? made.function.arguments : '');
      expect(given).toMatchObject({ city: expect.any(String), days: expect.any(Number) });
      const result = { role: 'tool' as const, tool_call_id: made?.id ?? '', content: 'Sun, 21 degrees.' };
      const answer = await ask({ model, messages: [question, call, result], tools });
      expect(answer.content).toContain('Sun, 21 degrees.');
    });

    it('gets its own thoughts back in the second round, signed as they were', async () => {
      const tools = [weather];
      const asked = { model, tools, reasoning_effort: 'low' as const };
      const call = (await ask({ ...asked, messages: [question] })) as ChatCompletionMessage & {
        reasoning_content?: string;
      };
      expect(call.tool_calls).toHaveLength(1);
      const id = call.tool_calls?.[0]?.id ?? '';
      const result = { role: 'tool' as const, tool_call_id: id, content: 'Rain.' };
      const answer = await ask({ ...asked, messages: [question, call, result] });
      expect(answer.content).toContain('Rain.');
      expect(simulator.calls().at(-1)?.requestBody).toMatch(/"(?:signature|thoughtSignature)":"[^"]+"/);
    });

    it('looks at a picture', async () => {
      const image = { type: 'image_url' as const, image_url: { url: `data:image/png;base64,${onePixel}` } };
      const text = { type: 'text' as const, text: 'What is this?' };
      const answer = await ask({ model, messages: [{ role: 'user', content: [text, image] }] });
      expect(answer.content).toContain('What is this?');
      expect(simulator.calls().at(-1)?.images).toBe(1);
    });

    it('answers by a schema', async () => {
      const json_schema = { name: 'weather', schema: weatherSchema, strict: true };
      const answer = await ask({
        model,
        messages: [question],
        response_format: { type: 'json_schema', json_schema },
      });
      expect(JSON.parse(answer.content ?? '')).toMatchObject({ city: expect.any(String) });
    });
  });

  it('stops where it is told to, and says so when it may write no more', async () => {
    const messages = [{ role: 'user' as const, content: 'Tell me about harbours and their cranes.' }];
    // Gemini's larger models think whatever they are told, and thinking counts.
    const brief = {
      model: model.replace('3-pro-preview', '2.5-flash'),
      messages,
      reasoning_effort: 'none' as const,
    };
    const cut = await client.chat.completions.create({ ...brief, max_tokens: 5 });
    expect(cut.choices[0]?.finish_reason).toBe('length');
    expect(cut.usage?.completion_tokens).toBe(5);
    const stopped = await client.chat.completions.create({ ...brief, stop: ['harbours', 'never'] });
    expect(stopped.choices[0]?.finish_reason).toBe('stop');
    expect(stopped.choices[0]?.message.content).toMatch(/You wrote: Tell me about $/);
  });

  it('tells in the ledger what the provider counted', async () => {
    await client.chat.completions.create({ model, messages: [question], reasoning_effort: 'low' });
    const served = simulator.calls().at(-1)?.served;
    expect((await path.ledger()).at(-1)).toMatchObject({
      estimated: false,
      input_tokens: served?.inputTokens,
      output_tokens: served?.outputTokens,
      // Bedrock does not tell them apart.
      reasoning_tokens: model.startsWith('bedrock') ? 0 : served?.reasoningTokens,
    });
  });

  it('refuses in a way that clients of OpenAI understand', async () => {
    const content = 'harbour '.repeat(3_000);
    const tooLong = client.chat.completions.create({ model, messages: [{ role: 'user', content }] });
    await expect(tooLong).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
    simulator.setFault({ kind: 'rate-limited', retryAfterS: 90 });
    const limited = client.chat.completions.create({ model, messages: [question] });
    const error = await limited.catch((refused: unknown) => refused);
    expect(error).toMatchObject({ status: 429, type: 'rate_limit_error' });
    expect((error as APIError).headers?.get('retry-after')).toBe('90');
  });
});
