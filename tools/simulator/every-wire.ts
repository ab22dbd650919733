import { testKey } from './testing.ts';
import type { Wire } from './wires.ts';

/** One way to ask the simulator for a streamed or a whole answer, written out as bytes on the wire. */
export interface WireCase {
  readonly wire: Wire;
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly streamed: { readonly path: string; readonly body: object };
  readonly whole: { readonly path: string; readonly body: object };
}

const question = 'Tell me about the harbour.';
const messages = [{ role: 'user', content: question }];
const bearer = { authorization: `Bearer ${testKey}` };
const project = '11111111-2222-4333-8444-555555555555';
const converse = { messages: [{ role: 'user', content: [{ text: question }] }] };
const gemini = { contents: [{ role: 'user', parts: [{ text: question }] }] };

/** Every wire format that streams, asked the same question. */
export const everyWire: readonly WireCase[] = [
  {
    wire: 'openai-chat',
    model: 'sim',
    headers: bearer,
    streamed: {
      path: '/v1/chat/completions',
      body: { model: 'sim', messages, stream: true, stream_options: { include_usage: true } },
    },
    whole: { path: '/v1/chat/completions', body: { model: 'sim', messages } },
  },
  {
    wire: 'openai-responses',
    model: 'sim',
    headers: bearer,
    streamed: { path: '/v1/responses', body: { model: 'sim', input: question, stream: true } },
    whole: { path: '/v1/responses', body: { model: 'sim', input: question } },
  },
  {
    wire: 'anthropic-messages',
    model: 'sim',
    headers: { 'x-api-key': testKey, 'anthropic-version': '2023-06-01' },
    streamed: { path: '/v1/messages', body: { model: 'sim', max_tokens: 1_000, messages, stream: true } },
    whole: { path: '/v1/messages', body: { model: 'sim', max_tokens: 1_000, messages } },
  },
  {
    wire: 'gemini-generate',
    model: 'sim',
    headers: { 'x-goog-api-key': testKey },
    streamed: { path: '/v1beta/models/sim:streamGenerateContent?alt=sse', body: gemini },
    whole: { path: '/v1beta/models/sim:generateContent', body: gemini },
  },
  {
    wire: 'azure-chat',
    model: 'sim',
    headers: { 'api-key': testKey },
    streamed: {
      path: '/openai/deployments/sim/chat/completions?api-version=2024-10-21',
      body: { messages, stream: true, stream_options: { include_usage: true } },
    },
    whole: {
      path: '/openai/deployments/sim/chat/completions?api-version=2024-10-21',
      body: { messages },
    },
  },
  {
    wire: 'bedrock-converse',
    model: 'sim',
    headers: bearer,
    streamed: { path: '/model/sim/converse-stream', body: converse },
    whole: { path: '/model/sim/converse', body: converse },
  },
  {
    wire: 'ollama-chat',
    model: 'sim',
    headers: bearer,
    streamed: { path: '/api/chat', body: { model: 'sim', messages } },
    whole: { path: '/api/chat', body: { model: 'sim', messages, stream: false } },
  },
  {
    wire: 'kapa-chat',
    model: project,
    headers: { 'x-api-key': testKey },
    streamed: { path: `/query/v1/projects/${project}/chat/stream/`, body: { query: question } },
    whole: { path: `/query/v1/projects/${project}/chat/`, body: { query: question } },
  },
];
