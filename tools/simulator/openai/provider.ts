import type { Exchange } from '../exchange.ts';
import type { JsonObject, Provider, Service } from '../provider.ts';
import { unknownModel } from '../provider-error.ts';
import { noteToolCall, sendReply, sendStream, sendWhole } from '../send.ts';
import { nothingServed } from '../served.ts';
import { billOf, replyToChat } from './chat.ts';
import { parseChatRequest } from './chat-request.ts';
import { completionJson, streamOf } from './chat-wire.ts';
import { answerEmbeddings, parseEmbeddingsRequest } from './embeddings.ts';
import { openAiFace } from './face.ts';
import { createResponses } from './responses.ts';

const defaultModels = ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'o3-mini', 'text-embedding-3-small'];

/** The OpenAI API: chat completions, responses, embeddings and models. */
export function createOpenAi(): Provider {
  const face = openAiFace;
  const serveResponses = createResponses();
  return {
    find({ pathname }) {
      switch (pathname) {
        case '/v1/chat/completions':
          return { wire: 'openai-chat', face, method: 'POST', serve: serveChat };
        case '/v1/responses':
          return { wire: 'openai-responses', face, method: 'POST', serve: serveResponses };
        case '/v1/embeddings':
          return { wire: 'openai-embeddings', face, method: 'POST', serve: serveEmbeddings };
        default:
          if (!/^\/v1\/models(?:\/|$)/u.test(pathname)) return undefined;
          return { wire: 'openai-models', face, method: 'GET', serve: serveModels };
      }
    },
  };
}

/** Answers `POST /v1/chat/completions`; with `filters`, telling what Azure's content filters found. */
export async function serveChat(
  exchange: Exchange,
  body: JsonObject,
  service: Service,
  filters = false,
): Promise<void> {
  const { call } = exchange;
  const { options } = service;
  const asked = parseChatRequest(body);
  Object.assign(call, { toolResults: asked.toolResults, images: asked.prompt.images });
  await service.admit(exchange, asked.model, asked.prompt.all);
  const reply = replyToChat(asked, service.answering(exchange, asked.model));
  call.replyId = `chatcmpl-sim-${options.seed}-${call.number}`;
  const identity = { id: call.replyId, created: Math.floor(options.now() / 1000), filters };
  for (const choice of reply.choices) noteToolCall(exchange, choice, `call_${choice.callId}`);
  const bill = billOf(reply);
  const tells = exchange.fault?.kind !== 'no-usage';
  if (asked.stream) {
    const usage = tells && asked.includeUsage ? reply.usage : undefined;
    return sendStream(exchange, streamOf(reply, identity, usage, bill), service.pace());
  }
  return sendReply(exchange, completionJson(reply, identity, tells ? reply.usage : undefined), bill, tells);
}

/** Answers `POST /v1/embeddings`. */
export async function serveEmbeddings(exchange: Exchange, body: JsonObject, service: Service): Promise<void> {
  const asked = parseEmbeddingsRequest(body);
  const tokens = asked.inputs.reduce((total, input) => total + input.tokens, 0);
  await service.admit(exchange, asked.model, tokens);
  const { body: reply, usage } = answerEmbeddings(asked, service.options.seed);
  const bill = { served: { ...nothingServed, inputTokens: tokens }, wireUsage: () => usage };
  return sendReply(exchange, reply, bill);
}

/** Answers `GET /v1/models` and `GET /v1/models/{id}`. */
export function serveModels(exchange: Exchange, _: JsonObject, { options }: Service): Promise<void> {
  const id = exchange.call.path.split('/models/')[1] ?? '';
  const data = (options.models ?? defaultModels).map(modelCard);
  if (id !== '' && options.models && !options.models.includes(id)) throw unknownModel(id);
  const body = id === '' ? { object: 'list', data } : modelCard(id);
  return sendWhole(exchange, 200, 'application/json', JSON.stringify(body));
}

function modelCard(id: string): object {
  return { id, object: 'model', created: 1_700_000_000, owned_by: 'simulator' };
}
