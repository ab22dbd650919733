import type { Exchange } from '../exchange.ts';
import { digestOf } from '../journal.ts';
import { composeSaying, seedOfCall, servedBy } from '../model-call.ts';
import { bearerKey } from '../openai/face.ts';
import type { Endpoint, Face, JsonObject, Provider, Service } from '../provider.ts';
import type { ProviderError, RefusalKind } from '../provider-error.ts';
import { type Bill, noteToolCall, sendReply, sendStream, sendWhole } from '../send.ts';
import { serveEmbed } from './embed.ts';
import { chatJson, chatStream, toolCallId } from './reply.ts';
import { parseOllamaChat } from './request.ts';

const statuses: Readonly<Record<RefusalKind, number>> = {
  'bad-request': 400,
  'prompt-too-long': 400,
  'wrong-key': 401,
  'unknown-model': 404,
  'unknown-path': 404,
  'wrong-method': 405,
  'too-large': 413,
  'rate-limited': 429,
  overloaded: 503,
  'server-error': 500,
};
const defaultModels = ['llama3.2:latest', 'nomic-embed-text:latest'];

/** Ollama around its answers: no key, unless the simulator was given some, and no limits. */
const ollamaFace: Face = {
  headers: () => ({}),
  credential: bearerKey,
  refuse(error) {
    const { retryAfterS } = error.details;
    return {
      status: error.details.status ?? statuses[error.kind],
      headers: { ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }) },
      body: JSON.stringify(ollamaError(error)),
    };
  },
  limits: () => ({}),
};

/** Ollama's own API: chat, embeddings, and what it has and is. */
export const ollama: Provider = {
  find({ pathname }) {
    const endpoint = endpoints[pathname];
    return endpoint && { face: ollamaFace, ...endpoint };
  },
};

const endpoints: Readonly<Record<string, Omit<Endpoint, 'face'>>> = {
  '/api/chat': { wire: 'ollama-chat', method: 'POST', serve: serveChat },
  '/api/embed': { wire: 'ollama-embed', method: 'POST', serve: serveEmbed },
  '/api/tags': { wire: 'ollama-lists', method: 'GET', serve: serveTags },
  '/api/version': {
    wire: 'ollama-lists',
    method: 'GET',
    serve: (exchange) => sendWhole(exchange, 200, contentType, JSON.stringify({ version: '0.12.6' })),
  },
};

const contentType = 'application/json; charset=utf-8';

async function serveChat(exchange: Exchange, body: JsonObject, service: Service): Promise<void> {
  const { call } = exchange;
  const asked = parseOllamaChat(body);
  Object.assign(call, { stream: asked.stream, toolResults: asked.toolResults, images: asked.prompt.images });
  await service.admit(exchange, asked.model, asked.prompt.all);
  const answering = service.answering(exchange, asked.model);
  const saying = composeSaying(asked, answering, seedOfCall(asked, answering.seed));
  const bill: Bill = {
    served: servedBy(asked.prompt, [saying]),
    wireUsage: ({ inputTokens, outputTokens }) => ({
      prompt_eval_count: inputTokens,
      eval_count: outputTokens,
    }),
  };
  noteToolCall(exchange, saying, toolCallId(saying.callId));
  const tellUsage = exchange.fault?.kind !== 'no-usage';
  const createdAt = new Date(service.options.now()).toISOString();
  const errorLine = (error: ProviderError): string => `${JSON.stringify(ollamaError(error))}\n`;
  const options = { model: asked.model, createdAt, saying, bill, tellUsage, errorLine };
  if (asked.stream) return sendStream(exchange, chatStream(options), service.pace());
  return sendReply(exchange, chatJson(options), bill, tellUsage);
}

function serveTags(exchange: Exchange, _: JsonObject, { options }: Service): Promise<void> {
  const models = (options.models ?? defaultModels).map((name) => ({
    name,
    model: name,
    modified_at: '2026-01-01T00:00:00Z',
    size: 2_019_393_189,
    digest: digestOf(name).repeat(4),
    details: {
      parent_model: '',
      format: 'gguf',
      family: 'llama',
      families: ['llama'],
      parameter_size: '3.2B',
      quantization_level: 'Q4_K_M',
    },
  }));
  return sendWhole(exchange, 200, contentType, JSON.stringify({ models }));
}

function ollamaError({ kind, message, details }: ProviderError): { error: string } {
  switch (kind) {
    case 'unknown-model':
      return { error: `model '${details.model}' not found` };
    case 'wrong-key':
      return { error: 'unauthorized' };
    case 'overloaded':
      return { error: 'server busy, please try again.  maximum pending requests exceeded' };
    case 'prompt-too-long':
      return { error: 'the input length exceeds the context length' };
    default:
      return { error: message };
  }
}
