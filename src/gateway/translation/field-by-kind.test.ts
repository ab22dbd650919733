import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ScriptedProvider, startScriptedProvider } from '../../../test/harness/scripted-provider.ts';
import { systemClock } from '../../platform/clock.ts';
import type { AppError } from '../../platform/errors.ts';
import type { Provider, ProviderKind } from '../../routing/index.ts';
import { openAiChat } from '../dialects/openai-chat.ts';
import type { JsonObject } from '../json-object.ts';
import type { ModelCall } from '../model-call.ts';
import { createProviderHttp } from '../providers/provider-http.ts';
import { providerWires } from '../providers/provider-wires.ts';
import { createTranslatedUpstream } from '../providers/translated-upstream.ts';
import { anthropicReply, geminiReply } from './replies.fixture.ts';

/** Models whose packages take most of what their kind can be asked for. */
const models: readonly (readonly [ProviderKind, string])[] = [
  ['openai', 'gpt-4o'],
  ['azure', 'gpt-4o'],
  ['openai-compatible', 'llama-3.3-70b'],
  ['ollama', 'llama3.3'],
  ['anthropic', 'claude-sonnet-4-5'],
  ['gemini', 'gemini-2.5-flash'],
  ['gemini', 'gemini-3-pro-preview'],
  ['bedrock', 'eu.anthropic.claude-sonnet-4-5-20250929-v1:0'],
  ['bedrock', 'amazon.nova-pro-v1:0'],
  ['kapa', 'project-1'],
];

const user = (content: unknown) => ({ messages: [{ role: 'user', content }] });
const ask = user('Hello');
const tool = {
  type: 'function',
  function: {
    name: 'look_up',
    description: 'Looks a word up',
    parameters: {
      type: 'object',
      properties: { wanted_word: { type: 'string' } },
      required: ['wanted_word'],
    },
  },
};
const pixel =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const schema = {
  type: 'object',
  properties: { colour_of_test: { type: 'string' } },
  required: ['colour_of_test'],
  additionalProperties: false,
};
const round = [
  { role: 'user', content: 'What is a gate?' },
  {
    role: 'assistant',
    content: 'I look it up.',
    tool_calls: [
      { id: 'call_1', type: 'function', function: { name: 'look_up', arguments: '{"wanted_word":"gate"}' } },
    ],
  },
];

/**
 * Fields with a request that asks for them, and what of it must be in what the provider is asked. Where that is not
 * there, the call must have been refused by that name.
 */
const fields: readonly (readonly [name: string, request: JsonObject, carried: RegExp])[] = [
  ['max_tokens', { ...ask, max_tokens: 777 }, /777/],
  ['max_tokens', { ...ask, max_completion_tokens: 778 }, /778/],
  ['temperature', { ...ask, temperature: 0.37 }, /0\.37/],
  ['temperature', { ...ask, temperature: 1.6 }, /1\.6/],
  ['top_p', { ...ask, top_p: 0.41 }, /0\.41/],
  ['top_k', { ...ask, top_k: 23 }, /23/],
  ['seed', { ...ask, seed: 4711 }, /4711/],
  ['presence_penalty', { ...ask, presence_penalty: 0.53 }, /0\.53/],
  ['frequency_penalty', { ...ask, frequency_penalty: 0.59 }, /0\.59/],
  ['stop', { ...ask, stop: 'ENOUGH' }, /ENOUGH/],
  ['stop', { ...ask, stop: ['ENOUGH', 'MORE'] }, /ENOUGH.*MORE/],
  ['reasoning_effort', { ...ask, reasoning_effort: 'low' }, /low|budget/i],
  ['response_format', { ...ask, response_format: { type: 'json_object' } }, /json/],
  [
    'response_format',
    {
      ...ask,
      response_format: { type: 'json_schema', json_schema: { name: 'paint', schema, strict: true } },
    },
    /colour_of_test/,
  ],
  ['tools', { ...ask, tools: [tool] }, /look_up.*Looks a word up.*wanted_word|wanted_word.*look_up/],
  [
    'tools.strict',
    { ...ask, tools: [{ ...tool, function: { ...tool.function, strict: true } }] },
    // Gemini has a mode for it instead.
    /"strict":true|"VALIDATED"/,
  ],
  ['tool_choice', { ...ask, tools: [tool], tool_choice: 'required' }, /"required"|"any"|"ANY"|"any":\{\}/],
  ['tool_choice', { ...ask, tools: [tool], tool_choice: 'none' }, /"none"|"NONE"|^(?!.*look_up)/],
  [
    'tool_choice',
    { ...ask, tools: [tool], tool_choice: { type: 'function', function: { name: 'look_up' } } },
    /look_up.*look_up/,
  ],
  [
    'parallel_tool_calls',
    { ...ask, tools: [tool], parallel_tool_calls: false },
    /"parallel_tool_calls":false|"disable_parallel_tool_use":true/,
  ],
  ['messages', { messages: [{ role: 'system', content: 'Be brief.' }, ...ask.messages] }, /Be brief\./],
  ['messages', { messages: [{ role: 'developer', content: 'Be kind.' }, ...ask.messages] }, /Be kind\./],
  [
    'messages',
    { messages: [...ask.messages, { role: 'system', content: 'Be late.' }, ...ask.messages] },
    /Be late\./,
  ],
  [
    'messages.0.content.0.image_url.url',
    user([{ type: 'image_url', image_url: { url: `data:image/png;base64,${pixel}`, detail: 'high' } }]),
    /iVBORw0KGgo/,
  ],
  [
    'messages.0.content.0.image_url.url',
    user([{ type: 'image_url', image_url: { url: 'https://pictures.example/cat.png' } }]),
    /https:\/\/pictures\.example\/cat\.png/,
  ],
  [
    'messages.0.content.0.image_url.url',
    user([{ type: 'image_url', image_url: { url: 'https://pictures.example/cat' } }]),
    /https:\/\/pictures\.example\/cat"/,
  ],
  [
    'messages.0.content.0.input_audio',
    user([{ type: 'input_audio', input_audio: { data: 'UklGRiQAAABXQVZF', format: 'wav' } }]),
    /UklGRiQAAABXQVZF/,
  ],
  [
    'messages.0.content.0.file.file_data',
    user([
      { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERi0xLjQ=' } },
    ]),
    /JVBERi0xLjQ=/,
  ],
  [
    'messages',
    { messages: [...round, { role: 'tool', tool_call_id: 'call_1', content: 'A way in.' }], tools: [tool] },
    /wanted_word.*"?gate.*A way in\.|A way in\./,
  ],
  [
    'messages',
    {
      messages: [
        ...round,
        {
          role: 'tool',
          tool_call_id: 'call_1',
          content: [
            { type: 'text', text: 'This one:' },
            { type: 'image_url', image_url: { url: `data:image/png;base64,${pixel}` } },
          ],
        },
      ],
      tools: [tool],
    },
    /iVBORw0KGgo/,
  ],
  [
    'messages',
    { messages: [...ask.messages, { role: 'assistant', refusal: 'I will not.' }, ...ask.messages] },
    /I will not\./,
  ],
  // What no other provider has a place for.
  ['n', { ...ask, n: 2 }, /"n":2/],
  ['logprobs', { ...ask, logprobs: true }, /"logprobs":true/],
  ['top_logprobs', { ...ask, top_logprobs: 3 }, /"top_logprobs":3/],
  ['logit_bias', { ...ask, logit_bias: { 50256: -100 } }, /50256/],
  ['store', { ...ask, store: true }, /"store":true/],
  ['service_tier', { ...ask, service_tier: 'flex' }, /flex/],
  ['modalities', { ...ask, modalities: ['text', 'audio'] }, /modalities/],
  ['audio', { ...ask, audio: { voice: 'alloy' } }, /alloy/],
  ['prediction', { ...ask, prediction: { type: 'content', content: 'guess' } }, /guess/],
  ['verbosity', { ...ask, verbosity: 'low' }, /"low"/],
  ['web_search_options', { ...ask, web_search_options: {} }, /web_search/],
  ['functions', { ...ask, functions: [tool.function] }, /look_up/],
  ['function_call', { ...ask, function_call: 'auto' }, /function_call/],
  ['frobnicate', { ...ask, frobnicate: 1 }, /frobnicate/],
  ['messages.0.name', { messages: [{ role: 'user', name: 'Ada', content: 'Hello' }] }, /Ada/],
  ['messages.0.audio', { messages: [{ role: 'assistant', audio: { id: 'a1' } }, ...ask.messages] }, /a1/],
  ['tools.0', { ...ask, tools: [{ type: 'custom', custom: { name: 'look_up' } }] }, /look_up/],
];

let provider: ScriptedProvider;
const http = createProviderHttp({ connectMs: 2_000, firstByteMs: 5_000, idleMs: 5_000 });
const upstream = createTranslatedUpstream(http, systemClock);

beforeAll(async () => {
  provider = await startScriptedProvider();
  vi.stubGlobal('fetch', () => {
    throw new Error('a provider package went its own way');
  });
});
afterEach(() => provider.answers({ status: 500, body: {} }));
afterAll(async () => {
  vi.unstubAllGlobals();
  await http.stop();
  await provider.stop();
});

const replies: Partial<Record<ProviderKind, object>> = {
  anthropic: anthropicReply,
  gemini: geminiReply,
};

/** @returns what the provider was asked, or the names of what was refused. */
async function outcomeOf(kind: ProviderKind, model: string, request: JsonObject) {
  provider.answers({ body: replies[kind] ?? providerWires[kind].chat?.emptyReply ?? {} });
  const asked = provider.requests.length;
  const target = { tier: 'primary', model, weight: 1, provider: providerOf(kind) };
  const call = {
    id: 'call-1',
    model: `p/${model}`,
    streamed: false,
    caller: { correlationId: 'correlation-1' },
    dialect: openAiChat,
    request: { parsed: () => ({ model: `p/${model}`, ...request }) },
  } as unknown as ModelCall;
  const [key = null] = target.provider.keys;
  const ended = await new Promise<{ status?: number; refused?: string[]; broken?: Error }>((resolve) => {
    let status = 0;
    upstream.send(
      { call, target, key },
      {
        head: (given) => {
          status = given;
        },
        data: () => {},
        end: () => resolve({ status }),
        failed: ({ kind: why, cause }) =>
          resolve(
            why === 'unsupported'
              ? { refused: (cause as AppError).errors.map(({ path }) => path) }
              : { broken: cause },
          ),
      },
    );
  });
  if (ended.broken) throw ended.broken;
  const sent = provider.requests.slice(asked).map(({ body }) => JSON.stringify(body));
  return { ...ended, sent };
}

function providerOf(kind: ProviderKind): Provider {
  return {
    id: kind,
    tenantId: null,
    name: 'p',
    kind,
    baseUrl: `${provider.url}/v1`,
    keys: [{ value: kind === 'bedrock' ? 'AKIATESTTESTTEST:secret' : 'key-of-test', hint: null, weight: 1 }],
    keyProblem: null,
    settings: {},
    localAddressesAllowed: true,
    source: 'stored',
    createdAt: new Date(0),
  } as unknown as Provider;
}

describe.each(models)('a chat to %s (%s)', (kind, model) => {
  it('goes through as it is', async () => {
    const { status, sent } = await outcomeOf(kind, model, ask);
    expect(status).toBe(200);
    expect(sent).toHaveLength(1);
  });

  it.each(fields)('carries %s, or is refused by that name: %j', async (name, request, carried) => {
    const { refused, sent } = await outcomeOf(kind, model, request);
    if (refused) {
      expect(refused).toContain(name);
      expect(sent).toEqual([]);
    } else {
      expect(sent).toHaveLength(1);
      expect(sent[0]).toMatch(carried);
    }
  });
});

describe('what says nothing about an answer', () => {
  it.each([
    { user: 'u1' },
    { safety_identifier: 's1' },
    { metadata: { a: 'b' } },
    { prompt_cache_key: 'k' },
    { store: false },
    { n: 1 },
    { logprobs: false },
    { service_tier: 'auto' },
    { stream_options: { include_usage: true } },
    { parallel_tool_calls: true },
    { presence_penalty: 0, frequency_penalty: 0 },
    { seed: null, stop: null, temperature: null },
    { response_format: { type: 'text' } },
  ])('is left out: %j', async (extra) => {
    const plain = await outcomeOf('anthropic', 'claude-sonnet-4-5', ask);
    expect(await outcomeOf('anthropic', 'claude-sonnet-4-5', { ...ask, ...extra })).toEqual(plain);
  });
});
