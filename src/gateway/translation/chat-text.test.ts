import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ModelPath, startModelPath } from '../../../test/harness/model-path.ts';
import { gathered } from '../../../test/harness/model-path-suite.ts';
import { type ScriptedProvider, startScriptedProvider } from '../../../test/harness/scripted-provider.ts';
import { anthropicReply, anthropicStream, geminiReply, geminiStream } from './replies.fixture.ts';

let provider: ScriptedProvider;
let path: ModelPath;
let client: OpenAI;

beforeAll(async () => {
  provider = await startScriptedProvider();
});
afterAll(() => provider.stop());
afterEach(() => path.stop());

async function start(kind: 'anthropic' | 'gemini') {
  path = await startModelPath({
    providers: { p: { kind, baseUrl: `${provider.url}/v1`, keys: [{ value: 'key-of-test' }] } },
  });
  client = new OpenAI({ baseURL: `${path.url}/v1`, apiKey: 'sk-test', maxRetries: 0 });
}
const messages = [
  { role: 'system' as const, content: 'Be brief.' },
  { role: 'user' as const, content: 'Hello there' },
];

describe('a chat with a provider that does not speak it', () => {
  it('is asked of Anthropic, and answered as a chat', async () => {
    await start('anthropic');
    provider.answers({ body: anthropicReply });
    const reply = await client.chat.completions.create({
      model: 'p/claude-sonnet-4-5',
      messages,
      max_tokens: 50,
      temperature: 0.5,
      stop: ['END'],
    });
    expect(provider.requests.at(-1)).toMatchObject({
      path: '/v1/messages',
      headers: { 'x-api-key': 'key-of-test', 'user-agent': 'gatehouse' },
      body: {
        model: 'claude-sonnet-4-5',
        system: [{ type: 'text', text: 'Be brief.' }],
        messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello there' }] }],
        max_tokens: 50,
        temperature: 0.5,
        stop_sequences: ['END'],
      },
    });
    expect(reply.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { role: 'assistant', content: 'Good morning.' },
    });
    expect(reply.usage).toMatchObject({ prompt_tokens: 12, completion_tokens: 4, total_tokens: 16 });
    expect(await path.ledger()).toMatchObject([
      { status: 'ok', estimated: false, input_tokens: 12, cached_read_tokens: 2, output_tokens: 4 },
    ]);
  });

  it('is streamed from Anthropic', async () => {
    await start('anthropic');
    provider.answers({ body: anthropicStream });
    const events = await gathered(
      await client.chat.completions.create({
        model: 'p/claude-sonnet-4-5',
        messages,
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
    expect(events.map((event) => event.choices[0]?.delta.content ?? '').join('')).toBe('Good morning.');
    expect(events.at(-2)?.choices[0]?.finish_reason).toBe('stop');
    expect(events.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 4 } });
    expect(await path.ledger()).toMatchObject([
      { status: 'ok', estimated: false, input_tokens: 10, output_tokens: 4 },
    ]);
  });

  it('is asked of Gemini, and answered as a chat', async () => {
    await start('gemini');
    provider.answers({ body: geminiReply });
    const reply = await client.chat.completions.create({ model: 'p/gemini-2.5-flash', messages, seed: 7 });
    expect(provider.requests.at(-1)).toMatchObject({
      path: '/v1/models/gemini-2.5-flash:generateContent',
      headers: { 'x-goog-api-key': 'key-of-test' },
      body: {
        systemInstruction: { parts: [{ text: 'Be brief.' }] },
        contents: [{ role: 'user', parts: [{ text: 'Hello there' }] }],
        generationConfig: { seed: 7 },
      },
    });
    expect(reply.choices[0]?.message.content).toBe('Good morning.');
    expect(await path.ledger()).toMatchObject([
      { status: 'ok', estimated: false, input_tokens: 10, output_tokens: 9, reasoning_tokens: 5 },
    ]);
  });

  it('is streamed from Gemini', async () => {
    await start('gemini');
    provider.answers({ body: geminiStream });
    const events = await gathered(
      await client.chat.completions.create({ model: 'p/gemini-2.5-flash', messages, stream: true }),
    );
    expect(events.map((event) => event.choices[0]?.delta.content ?? '').join('')).toBe('Good morning.');
    expect(events.at(-1)?.choices[0]?.finish_reason).toBe('stop');
    expect(await path.ledger()).toMatchObject([{ status: 'ok', estimated: false, output_tokens: 4 }]);
  });

  it('names what the provider cannot be asked for, before asking', async () => {
    await start('anthropic');
    const asked = provider.requests.length;
    const refused = client.chat.completions.create({ model: 'p/claude-sonnet-4-5', messages, seed: 7 });
    await expect(refused).rejects.toMatchObject({ status: 422, message: expect.stringContaining('"seed"') });
    expect(provider.requests.length).toBe(asked);
  });

  it('passes refusals on in the words of the provider', async () => {
    await start('anthropic');
    const error = { type: 'rate_limit_error', message: 'Too many tokens.' };
    provider.answers({ status: 429, body: { type: 'error', error } });
    for (const stream of [true, false]) {
      const refused = client.chat.completions.create({ model: 'p/claude-sonnet-4-5', messages, stream });
      await expect(refused).rejects.toMatchObject({
        status: 429,
        type: 'rate_limit_error',
        message: expect.stringContaining('Too many tokens.'),
      });
    }
  });
});
