import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import { EventStreamCodec } from '@smithy/eventstream-codec';
import { expect, test } from 'vitest';
import type { SimulatorOptions } from '../options.ts';
import { collect, onePixel, simulators, testKey, weatherSchema } from '../testing.ts';
import { testCredentials } from './signature.ts';

const start = simulators();
const model = 'us.anthropic.claude-test-v1:0';

async function started(options: Partial<SimulatorOptions> = {}) {
  const { simulator, url } = await start(options);
  const post = (action: string, body: object, headers: Record<string, string> = {}) =>
    fetch(`${url}/model/${encodeURIComponent(model)}/${action}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${testKey}`, ...headers },
      body: JSON.stringify(body),
    });
  const converse = async (body: object) => (await (await post('converse', body)).json()) as ConverseReply;
  return { simulator, url, post, converse };
}

interface ConverseReply {
  readonly output: { readonly message: { readonly role: string; readonly content: Block[] } };
  readonly stopReason: string;
  readonly usage: Record<string, unknown>;
  readonly additionalModelResponseFields?: object;
}
type Block = {
  text?: string;
  toolUse?: { toolUseId: string; name: string; input: object };
  reasoningContent?: object;
};

const user = (text: string) => ({ role: 'user', content: [{ text }] });
const asked = { messages: [user('Tell me about the harbour.')] };
const toolConfig = { tools: [{ toolSpec: { name: 'get_weather', inputSchema: { json: weatherSchema } } }] };

/** The frames of an event stream, each with its headers and payload; checksums are verified by the codec. */
function frames(bytes: Buffer) {
  const codec = new EventStreamCodec(
    (input) => Buffer.from(input as Uint8Array).toString('utf8'),
    (text) => Buffer.from(text),
  );
  const decoded: { type: unknown; kind: unknown; payload: Record<string, unknown> }[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) {
    const { headers, body } = codec.decode(bytes.subarray(at, at + bytes.readUInt32BE(at)));
    const payload = JSON.parse(Buffer.from(body).toString('utf8')) as Record<string, unknown>;
    const type = headers[':event-type']?.value ?? headers[':exception-type']?.value;
    decoded.push({ type, kind: headers[':message-type']?.value, payload });
  }
  return decoded;
}

test('a reply and an event stream of the same request say the same and count the same', async () => {
  const { post, converse, simulator } = await started();
  const whole = await converse(asked);
  const response = await post('converse-stream', asked);
  expect(response.headers.get('content-type')).toBe('application/vnd.amazon.eventstream');
  const events = frames(Buffer.from(await response.arrayBuffer()));
  const order = events.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1]);
  expect(order).toEqual(['messageStart', 'contentBlockDelta', 'contentBlockStop', 'messageStop', 'metadata']);
  const text = events
    .map(({ payload }) => (payload.delta as { text?: string } | undefined)?.text ?? '')
    .join('');
  expect(text).toBe(whole.output.message.content[0]?.text);
  expect(text).toContain('You wrote: Tell me about the harbour.');
  expect(events.at(-1)?.payload.usage).toEqual(whole.usage);
  expect(whole).toMatchObject({ stopReason: 'end_turn', usage: { inputTokens: 9 } });
  expect(simulator.calls().map(({ wire, model: asked, stream }) => [wire, asked, stream])).toEqual([
    ['bedrock-converse', model, false],
    ['bedrock-converse', model, true],
  ]);
});

test('tools take two rounds, and results must answer what was used', async () => {
  const { converse, post, simulator } = await started();
  const question = user('What is the weather in Lisbon?');
  const called = await converse({ messages: [question], toolConfig });
  const use = called.output.message.content[0]?.toolUse;
  expect(called.stopReason).toBe('tool_use');
  expect(use).toMatchObject({ name: 'get_weather', input: { city: 'Lisbon' } });
  const result = { toolResult: { toolUseId: use?.toolUseId, content: [{ text: '21 degrees' }] } };
  const messages = [question, called.output.message, { role: 'user', content: [result] }];
  const answered = await converse({ messages, toolConfig });
  expect(answered.output.message.content[0]?.text).toContain('The tool says: 21 degrees.');
  expect(simulator.calls()[1]?.toolResults).toEqual([use?.toolUseId]);
  const refused = await post('converse', {
    messages: [question, { role: 'user', content: [result] }],
    toolConfig,
  });
  expect([refused.status, refused.headers.get('x-amzn-errortype')]).toEqual([
    400,
    expect.stringContaining('ValidationException'),
  ]);
});

test('images count, JSON fits its schema, stop and length end the answer, thoughts are signed', async () => {
  const { converse, simulator } = await started();
  const image = { image: { format: 'png', source: { bytes: onePixel } } };
  await converse({ messages: [{ role: 'user', content: [image, { text: 'What is this?' }] }] });
  expect(simulator.calls()[0]).toMatchObject({ images: 1, served: { inputImageTokens: 1_590 } });
  const schema = JSON.stringify(weatherSchema);
  const textFormat = { type: 'json_schema', structure: { jsonSchema: { schema, name: 'weather' } } };
  const json = await converse({ ...asked, outputConfig: { textFormat } });
  expect(JSON.parse(json.output.message.content[0]?.text ?? '')).toMatchObject({ city: expect.any(String) });
  const stopped = await converse({
    ...asked,
    inferenceConfig: { stopSequences: [' the harbour'] },
    additionalModelResponseFieldPaths: ['/delta/stop_sequence'],
  });
  expect(stopped).toMatchObject({
    stopReason: 'stop_sequence',
    additionalModelResponseFields: { delta: { stop_sequence: ' the harbour' } },
  });
  const cut = await converse({ ...asked, inferenceConfig: { maxTokens: 5 } });
  expect(cut).toMatchObject({ stopReason: 'max_tokens', usage: { outputTokens: 5 } });
  const thinking = { type: 'enabled', budget_tokens: 1_024 };
  const thought = await converse({ ...asked, additionalModelRequestFields: { thinking } });
  expect(thought.output.message.content[0]?.reasoningContent).toMatchObject({
    reasoningText: { signature: expect.any(String) },
  });
});

test('marked prefixes are written once and then read, the time to live told apart', async () => {
  const { converse } = await started();
  const text = 'The rules of the house are many. '.repeat(40);
  const system = [{ text }, { cachePoint: { type: 'default', ttl: '1h' } }];
  const [first, second] = [
    (await converse({ ...asked, system })).usage,
    (await converse({ ...asked, system })).usage,
  ];
  const written = Number(first.cacheWriteInputTokens);
  expect(written).toBeGreaterThan(200);
  expect(first).toMatchObject({ inputTokens: 9, cacheDetails: [{ ttl: '1h', inputTokens: written }] });
  expect(second).toMatchObject({ inputTokens: 9, cacheReadInputTokens: written, cacheWriteInputTokens: 0 });
  expect(second.totalTokens).toBe(9 + written + Number(second.outputTokens));
});

test('errors are exceptions: over HTTP by their header, in a stream as a frame', async () => {
  const { post, simulator } = await started();
  simulator.setFault({ kind: 'rate-limited', times: 1 });
  const limited = await post('converse', asked);
  expect([limited.status, limited.headers.get('x-amzn-errortype')?.split(':')[0]]).toEqual([
    429,
    'ThrottlingException',
  ]);
  simulator.setFault({ kind: 'error-event', afterChunks: 2, times: 1 });
  const stream = frames(Buffer.from(await (await post('converse-stream', asked)).arrayBuffer()));
  expect(stream.at(-1)).toMatchObject({ type: 'serviceUnavailableException', kind: 'exception' });
  simulator.setFault({ kind: 'malformed', afterChunks: 2, times: 1 });
  const bad = Buffer.from(await (await post('converse-stream', asked)).arrayBuffer());
  expect(() => frames(bad)).toThrow('checksum');
  simulator.setFault({ kind: 'missing-done', times: 1 });
  const endless = frames(Buffer.from(await (await post('converse-stream', asked)).arrayBuffer()));
  expect(endless.at(-1)?.type).toBe('contentBlockStop');
});

test('a signature is verified for the test credentials; other services and broken ones are refused', async () => {
  const { url, post } = await started();
  const prompt = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'Hello' }] }];
  const signedBy = (secretAccessKey: string) =>
    createAmazonBedrock({
      region: 'eu-central-1',
      baseURL: url,
      accessKeyId: testCredentials.accessKeyId,
      secretAccessKey,
    })(model).doGenerate({ prompt });
  await expect(signedBy(testCredentials.secretAccessKey)).resolves.toMatchObject({
    content: [{ type: 'text' }],
  });
  await expect(signedBy('test-secret-of-another')).rejects.toMatchObject({ statusCode: 403 });
  const elsewhere = `AWS4-HMAC-SHA256 Credential=${testCredentials.accessKeyId}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=${'0'.repeat(64)}`;
  expect((await post('converse', asked, { authorization: elsewhere })).status).toBe(403);
  expect((await post('converse', asked, { authorization: 'Bearer sk-test-wrong' })).status).toBe(403);
});

test('the AI SDK reads text, thoughts, tool calls, usage and embeddings', async () => {
  const { url } = await started();
  const provider = createAmazonBedrock({ region: 'eu-central-1', baseURL: url, apiKey: testKey });
  const text = 'What is the weather in Lisbon?';
  const prompt = [{ role: 'user' as const, content: [{ type: 'text' as const, text }] }];
  const { stream } = await provider(model).doStream({
    prompt,
    tools: [{ type: 'function', name: 'get_weather', inputSchema: weatherSchema }],
    providerOptions: { bedrock: { reasoningConfig: { type: 'enabled', budgetTokens: 1_024 } } },
  });
  const parts = await collect(stream as unknown as AsyncIterable<{ type: string }>);
  expect(parts.map(({ type }) => type)).toEqual(expect.arrayContaining(['reasoning-delta', 'tool-call']));
  expect(parts.at(-1)).toMatchObject({ type: 'finish', finishReason: { unified: 'tool-calls' } });
  const titan = await provider
    .embedding('amazon.titan-embed-text-v2:0')
    .doEmbed({ values: ['refund window'] });
  expect([titan.embeddings[0]?.length, titan.usage?.tokens]).toEqual([1_024, 2]);
  const cohere = await provider.embedding('cohere.embed-v4:0').doEmbed({ values: ['refund', 'window'] });
  expect([cohere.embeddings.length, cohere.usage?.tokens]).toEqual([2, 2]);
});
