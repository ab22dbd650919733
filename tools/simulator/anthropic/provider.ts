import type { Exchange } from '../exchange.ts';
import { composeSaying, seedOfCall, servedBy } from '../model-call.ts';
import { cacheUse } from '../prompt-cache.ts';
import type { JsonObject, Provider, Service } from '../provider.ts';
import { unknownModel } from '../provider-error.ts';
import { type Bill, noteToolCall, sendReply, sendStream, sendWhole } from '../send.ts';
import { nothingServed } from '../served.ts';
import { anthropicFace } from './face.ts';
import { messageJson, messageStream, messageUsage, toolUseId } from './message.ts';
import { parseMessagesRequest } from './request.ts';

const defaultModels = ['claude-opus-4-5', 'claude-sonnet-4-5', 'claude-haiku-4-5'];

/** The Anthropic API: messages, counting of tokens, and models for who sends `anthropic-version`. */
export const anthropic: Provider = {
  find({ pathname }, headers) {
    const face = anthropicFace;
    if (pathname === '/v1/messages')
      return { wire: 'anthropic-messages', face, method: 'POST', serve: serveMessages };
    if (pathname === '/v1/messages/count_tokens')
      return { wire: 'anthropic-count', face, method: 'POST', serve: countMessageTokens };
    if (headers['anthropic-version'] !== undefined && /^\/v1\/models(?:\/|$)/u.test(pathname))
      return { wire: 'anthropic-models', face, method: 'GET', serve: serveModels };
    return undefined;
  },
};

async function serveMessages(exchange: Exchange, body: JsonObject, service: Service): Promise<void> {
  const { call } = exchange;
  const asked = parseMessagesRequest(body);
  Object.assign(call, { toolResults: asked.toolResults, images: asked.prompt.images });
  await service.admit(exchange, asked.model, asked.prompt.all);
  const answering = service.answering(exchange, asked.model);
  const saying = composeSaying(asked, answering, seedOfCall(asked, answering.seed));
  call.replyId = `msg_sim_${answering.seed}_${call.number}`;
  noteToolCall(exchange, saying, toolUseId(saying.callId));
  const owner = `${exchange.key}\n${asked.model}`;
  const cached = cacheUse(service.promptCache, owner, asked, answering.cachedTokens);
  const served = { ...servedBy(asked.prompt, [saying]), ...cached };
  const bill: Bill = { served, wireUsage: messageUsage };
  const tellUsage = exchange.fault?.kind !== 'no-usage';
  const { thoughtsOmitted } = asked;
  const identity = { id: call.replyId, model: asked.model };
  const options = { identity, saying, bill, thoughtsOmitted, tellUsage };
  if (asked.stream) return sendStream(exchange, messageStream(options), service.pace());
  return sendReply(exchange, messageJson(options), bill, tellUsage);
}

async function countMessageTokens(exchange: Exchange, body: JsonObject, service: Service): Promise<void> {
  const asked = parseMessagesRequest(body, false);
  await service.admit(exchange, asked.model, 0);
  const bill = { served: nothingServed, wireUsage: () => null };
  return sendReply(exchange, JSON.stringify({ input_tokens: asked.prompt.all }), bill, false);
}

function serveModels(exchange: Exchange, _: JsonObject, { options }: Service): Promise<void> {
  const id = exchange.call.path.slice('/v1/models/'.length);
  const models = options.models ?? defaultModels;
  if (id !== '' && options.models && !options.models.includes(id)) throw unknownModel(id);
  const data = models.map(modelCard);
  const list = { data, has_more: false, first_id: models[0] ?? null, last_id: models.at(-1) ?? null };
  return sendWhole(exchange, 200, 'application/json', JSON.stringify(id === '' ? list : modelCard(id)));
}

function modelCard(id: string): object {
  return { type: 'model', id, display_name: id, created_at: '2025-09-29T00:00:00Z' };
}
