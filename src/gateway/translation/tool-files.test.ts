import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ModelPath, startModelPath } from '../../../test/harness/model-path.ts';
import { type ScriptedProvider, startScriptedProvider } from '../../../test/harness/scripted-provider.ts';

/** A tool that gives a picture: the provider is shown the picture, in whatever dialect it was given. */

let server: ScriptedProvider;
let path: ModelPath;

beforeAll(async () => {
  server = await startScriptedProvider();
  const at = (kind: 'anthropic' | 'gemini' | 'openai-compatible') => ({ kind, baseUrl: `${server.url}/v1` });
  path = await startModelPath({
    providers: { claude: at('anthropic'), gemini: at('gemini'), own: at('openai-compatible') },
  });
});
afterAll(async () => {
  await path.stop();
  await server.stop();
});

const pixel =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

const chat = (model: string, url: string) => ({
  model,
  messages: [
    { role: 'user', content: 'Draw a dot.' },
    {
      role: 'assistant',
      tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'draw', arguments: '{}' } }],
    },
    {
      role: 'tool',
      tool_call_id: 'call_1',
      content: [
        { type: 'text', text: 'Drawn.' },
        { type: 'image_url', image_url: { url } },
      ],
    },
  ],
});
const responses = (model: string, url: string) => ({
  model,
  input: [
    { role: 'user', content: 'Draw a dot.' },
    { type: 'function_call', call_id: 'call_1', name: 'draw', arguments: '{}' },
    {
      type: 'function_call_output',
      call_id: 'call_1',
      output: [
        { type: 'input_text', text: 'Drawn.' },
        { type: 'input_image', image_url: url },
      ],
    },
  ],
});

async function send(url: string, body: object): Promise<{ status: number; text: string; sent: string }> {
  const before = server.requests.length;
  server.answers({ status: 400, body: { error: { message: 'enough' } } });
  const reply = await fetch(`${path.url}${url}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await reply.text();
  return {
    status: reply.status,
    text,
    sent: JSON.stringify(server.requests.slice(before).at(0)?.body ?? null),
  };
}

describe.each([
  ['/v1/chat/completions', chat],
  ['/v1/responses', responses],
])('%s: a picture that a tool gave', (url, bodyOf) => {
  it.each([
    ['claude/claude-sonnet-4-5', `"media_type":"image/png","data":"${pixel}"`],
    ['gemini/gemini-2.5-flash', `"inlineData":{"mimeType":"image/png","data":"${pixel}"}`],
    ['own/llama', `"image_url":{"url":"data:image/png;base64,${pixel}"}`],
  ])('reaches %s as a picture', async (model, shown) => {
    const { sent } = await send(url, bodyOf(model, `data:image/png;base64,${pixel}`));
    expect(sent).toContain(shown);
    expect(sent).toContain('Drawn.');
    expect(sent).not.toContain('gatehouse');
  });

  it('is named where the provider cannot fetch it', async () => {
    const { status, text, sent } = await send(
      url,
      bodyOf('gemini/gemini-2.5-flash', 'http://pictures.example/dot.png'),
    );
    expect(status, text).toBe(422);
    expect(text).toMatch(/(?:messages\.2\.content\.1|input\.2\.output\.1)\.image_url/);
    expect(sent).toBe('null');
  });
});
