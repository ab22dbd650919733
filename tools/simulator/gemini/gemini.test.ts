import { createGoogleGenerativeAI } from '@ai-sdk/google';
import {
  ApiError,
  FunctionCallingConfigMode,
  type GenerateContentParameters,
  GoogleGenAI,
  Type,
} from '@google/genai';
import { expect, test } from 'vitest';
import type { SimulatorOptions } from '../options.ts';
import { collect, onePixel, simulators, testKey, weatherSchema } from '../testing.ts';

const start = simulators();

async function started(options: Partial<SimulatorOptions> = {}) {
  const { simulator, url } = await start(options);
  const client = new GoogleGenAI({ apiKey: testKey, httpOptions: { baseUrl: url } });
  return { simulator, url, models: client.models };
}

const asked: GenerateContentParameters = {
  model: 'gemini-2.0-flash',
  contents: 'Tell me about the harbour.',
};
const tools = [{ functionDeclarations: [{ name: 'get_weather', parametersJsonSchema: weatherSchema }] }];

test('a reply and a stream of the same request say the same and count the same', async () => {
  const { models, simulator } = await started();
  const whole = await models.generateContent(asked);
  const chunks = await collect(await models.generateContentStream(asked));
  expect(whole.text).toContain('You wrote: Tell me about the harbour.');
  expect(chunks.map(({ text }) => text ?? '').join('')).toBe(whole.text);
  expect(chunks.at(-1)?.candidates?.[0]?.finishReason).toBe('STOP');
  expect(chunks.at(-1)?.usageMetadata).toEqual(whole.usageMetadata);
  expect(whole.usageMetadata).toMatchObject({
    promptTokenCount: 6,
    totalTokenCount: 6 + (whole.usageMetadata?.candidatesTokenCount ?? 0),
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: 6 }],
  });
  expect(simulator.calls().map(({ wire, ending, stream, model }) => [wire, ending, stream, model])).toEqual([
    ['gemini-generate', 'whole', false, 'gemini-2.0-flash'],
    ['gemini-generate', 'whole', true, 'gemini-2.0-flash'],
  ]);
  expect(simulator.calls()[1]?.served).toEqual(simulator.calls()[0]?.served);
});

test('thoughts are told when asked for, and billed beside the answer', async () => {
  const { models, simulator } = await started();
  const request = { ...asked, model: 'gemini-2.5-flash' };
  const told = { ...request, config: { thinkingConfig: { includeThoughts: true } } };
  const [hidden, shown] = [await models.generateContent(request), await models.generateContent(told)];
  const parts = shown.candidates?.[0]?.content?.parts ?? [];
  expect(parts.map(({ thought }) => thought === true)).toEqual([true, false]);
  expect(parts[1]?.thoughtSignature).toEqual(expect.any(String));
  expect(hidden.candidates?.[0]?.content?.parts).toHaveLength(1);
  const thoughts = hidden.usageMetadata?.thoughtsTokenCount ?? 0;
  expect(thoughts).toBeGreaterThanOrEqual(64);
  const usage = hidden.usageMetadata;
  expect(usage?.totalTokenCount).toBe(6 + thoughts + (usage?.candidatesTokenCount ?? 0));
  expect(simulator.calls()[0]?.served).toMatchObject({
    reasoningTokens: thoughts,
    outputTokens: thoughts + (usage?.candidatesTokenCount ?? 0),
  });
  const none = await models.generateContent({
    ...request,
    config: { thinkingConfig: { thinkingBudget: 0 } },
  });
  expect(none.usageMetadata?.thoughtsTokenCount).toBeUndefined();
});

test('tools take two rounds; Gemini 3 wants the signature of the call back', async () => {
  const { models, simulator } = await started();
  const model = 'gemini-3-pro-preview';
  const question = { role: 'user', parts: [{ text: 'What is the weather in Lisbon?' }] };
  const called = await models.generateContent({ model, contents: [question], config: { tools } });
  const chunks = await collect(
    await models.generateContentStream({ model, contents: [question], config: { tools } }),
  );
  const [call] = called.functionCalls ?? [];
  expect(call).toMatchObject({ name: 'get_weather', args: { city: 'Lisbon' }, id: expect.any(String) });
  expect(chunks.flatMap(({ functionCalls }) => functionCalls ?? [])).toEqual([call]);
  expect(simulator.calls()[1]?.toolCalls[0]).toMatchObject({ id: call?.id, whole: true });

  const content = called.candidates?.[0]?.content ?? {};
  const response = { output: '21 degrees and sunny' };
  const result = {
    role: 'user',
    parts: [{ functionResponse: { name: 'get_weather', response, id: call?.id ?? '' } }],
  };
  const answered = await models.generateContent({
    model,
    contents: [question, content, result],
    config: { tools },
  });
  expect(answered.text).toContain('The tool says: 21 degrees and sunny.');
  expect(simulator.calls()[2]?.toolResults).toEqual([call?.id]);

  const unsigned = { role: 'model', parts: [{ functionCall: call ?? {} }] };
  await expect(
    models.generateContent({ model, contents: [question, unsigned, result], config: { tools } }),
  ).rejects.toThrow('missing a thought_signature');
});

test('images and audio count apart, JSON fits either form of schema, stop and length end the answer', async () => {
  const { models, simulator } = await started();
  const image = { inlineData: { mimeType: 'image/png', data: onePixel } };
  const audio = { inlineData: { mimeType: 'audio/wav', data: 'AAAA'.repeat(20_000) } };
  const seen = await models.generateContent({
    ...asked,
    contents: [{ role: 'user', parts: [image, audio, { text: 'What is this?' }] }],
  });
  expect(seen.usageMetadata?.promptTokensDetails).toEqual(
    expect.arrayContaining([
      { modality: 'IMAGE', tokenCount: 258 },
      { modality: 'AUDIO', tokenCount: 64 },
    ]),
  );
  expect(simulator.calls()[0]).toMatchObject({
    images: 1,
    served: { inputImageTokens: 258, inputAudioTokens: 64 },
  });
  const own = {
    type: Type.OBJECT,
    properties: { city: { type: Type.STRING }, days: { type: Type.INTEGER, minimum: 1, maximum: 5 } },
    required: ['city', 'days'],
  };
  for (const form of [{ responseSchema: own }, { responseJsonSchema: weatherSchema }]) {
    const reply = await models.generateContent({
      ...asked,
      config: { responseMimeType: 'application/json', ...form },
    });
    expect(JSON.parse(reply.text ?? '')).toEqual({ city: expect.any(String), days: expect.any(Number) });
  }
  const stopped = await models.generateContent({ ...asked, config: { stopSequences: [' the harbour'] } });
  expect(stopped.text).toBe('You wrote: Tell me about');
  const cut = await models.generateContent({ ...asked, config: { maxOutputTokens: 5 } });
  expect(cut.candidates?.[0]?.finishReason).toBe('MAX_TOKENS');
  expect(cut.usageMetadata?.candidatesTokenCount).toBe(5);
});

test('long prompts are partly cached; a function may be forbidden', async () => {
  const { models } = await started({ cachedTokens: 256 });
  const config = { tools, toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.NONE } } };
  const reply = await models.generateContent({ ...asked, contents: 'harbour '.repeat(2_000), config });
  expect(reply.functionCalls).toBeUndefined();
  expect(reply.usageMetadata).toMatchObject({ cachedContentTokenCount: 256 });
});

test('tokens are counted as they would be billed, and texts embedded', async () => {
  const { models, simulator } = await started();
  const { totalTokens } = await models.countTokens({
    model: 'gemini-2.5-flash',
    contents: 'Tell me about it.',
  });
  expect(totalTokens).toBe(5);
  const { embeddings = [] } = await models.embedContent({
    model: 'gemini-embedding-001',
    contents: ['refund window', 'soup'],
    config: { outputDimensionality: 256 },
  });
  expect(embeddings.map(({ values }) => values?.length)).toEqual([256, 256]);
  expect(simulator.calls()[1]).toMatchObject({ wire: 'gemini-embed', served: { inputTokens: 4 } });
});

test('refusals have the codes and details of the API', async () => {
  const { models, simulator, url } = await started({ models: ['gemini-2.0-flash'], contextTokens: 100 });
  const refusal = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error: unknown) => (error instanceof ApiError ? [error.status, error.message] : error),
    );
  const wrong = new GoogleGenAI({ apiKey: 'sk-test-wrong', httpOptions: { baseUrl: url } });
  expect(await refusal(wrong.models.generateContent(asked))).toEqual([
    400,
    expect.stringContaining('API_KEY_INVALID'),
  ]);
  expect(await refusal(models.generateContent({ ...asked, model: 'gemini-none' }))).toEqual([
    404,
    expect.stringContaining('NOT_FOUND'),
  ]);
  expect(await refusal(models.generateContent({ ...asked, contents: 'word '.repeat(200) }))).toEqual([
    400,
    expect.stringMatching(/input token count \(\d+\) exceeds the maximum number of tokens allowed \(100\)/u),
  ]);
  simulator.setFault({ kind: 'rate-limited', retryAfterS: 12, times: 1 });
  expect(await refusal(models.generateContent(asked))).toEqual([
    429,
    expect.stringContaining('"retryDelay":"12s"'),
  ]);
  simulator.setFault({ kind: 'unavailable', times: 1 });
  expect(await refusal(models.generateContent(asked))).toEqual([503, expect.stringContaining('UNAVAILABLE')]);
});

test('without alt=sse a stream is one JSON list, and the key may stand in the query', async () => {
  const { url } = await started();
  const response = await fetch(`${url}/v1beta/models/gemini-2.0-flash:streamGenerateContent?key=${testKey}`, {
    method: 'POST',
    body: JSON.stringify({ contents: [{ parts: [{ text: 'Hello' }] }] }),
  });
  const chunks = (await response.json()) as { candidates: { finishReason?: string }[] }[];
  expect(chunks.length).toBeGreaterThan(2);
  expect(chunks.at(-1)?.candidates[0]?.finishReason).toBe('STOP');
});

test('the AI SDK reads text, tool calls, embeddings and usage', async () => {
  const { url } = await started();
  const provider = createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: testKey });
  const model = provider('gemini-2.5-flash');
  const text = 'What is the weather in Lisbon?';
  const prompt = [{ role: 'user' as const, content: [{ type: 'text' as const, text }] }];
  const { stream } = await model.doStream({
    prompt,
    tools: [{ type: 'function', name: 'get_weather', inputSchema: weatherSchema }],
  });
  const parts = await collect(stream as unknown as AsyncIterable<{ type: string }>);
  expect(parts.find(({ type }) => type === 'tool-call')).toMatchObject({ toolName: 'get_weather' });
  expect(parts.at(-1)).toMatchObject({ type: 'finish', finishReason: { unified: 'tool-calls' } });
  const { usage } = await model.doGenerate({ prompt });
  expect(usage.outputTokens.reasoning).toBeGreaterThanOrEqual(64);
  const { embeddings } = await provider.embedding('gemini-embedding-001').doEmbed({ values: ['a', 'b'] });
  expect(embeddings).toHaveLength(2);
});
