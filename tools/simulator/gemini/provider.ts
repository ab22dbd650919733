import type { Exchange } from '../exchange.ts';
import { composeSaying, seededCachedTokens, seedOfCall, servedBy } from '../model-call.ts';
import type { Endpoint, JsonObject, Provider, Service } from '../provider.ts';
import { unknownModel } from '../provider-error.ts';
import { requiredRecord } from '../read-json.ts';
import { type Bill, noteToolCall, sendReply, sendStream, sendWhole } from '../send.ts';
import { nothingServed } from '../served.ts';
import { serveEmbed } from './embed.ts';
import { geminiFace } from './face.ts';
import { functionCallId, geminiUsage, generatedJson, generatedStream, modalities } from './reply.ts';
import { parseGenerateRequest } from './request.ts';

const defaultModels = ['gemini-2.5-pro', 'gemini-2.5-flash', 'gemini-embedding-001'];

/** The Gemini API: generating (whole and streamed), embedding, counting, and models. */
export const gemini: Provider = {
  find({ pathname, searchParams }) {
    const [, rest] = /^\/v1(?:beta|alpha)?\/models\/([^/]+:[A-Za-z]+)$/u.exec(pathname) ?? [];
    if (rest !== undefined) {
      const [model = '', method = ''] = decodeURIComponent(rest).split(':');
      return endpointOf(model, method, searchParams.get('alt') === 'sse');
    }
    if (/^\/v1(?:beta|alpha)\/models(?:\/[^/:]+)?$/u.test(pathname))
      return { wire: 'gemini-models', face: geminiFace, method: 'GET', serve: serveModels };
    return undefined;
  },
};

function endpointOf(model: string, method: string, sse: boolean): Endpoint | undefined {
  const common = { face: geminiFace, method: 'POST' as const, model };
  switch (method) {
    case 'generateContent':
      return { ...common, wire: 'gemini-generate', stream: false, serve: serveGenerate(model, false, sse) };
    case 'streamGenerateContent':
      return { ...common, wire: 'gemini-generate', stream: true, serve: serveGenerate(model, true, sse) };
    case 'embedContent':
    case 'batchEmbedContents': {
      const serve = serveEmbed(model, method === 'batchEmbedContents');
      return { ...common, wire: 'gemini-embed', stream: false, serve };
    }
    case 'countTokens':
      return { ...common, wire: 'gemini-count', stream: false, serve: serveCount(model) };
    default:
      return undefined;
  }
}

function serveGenerate(model: string, stream: boolean, sse: boolean): Endpoint['serve'] {
  return async (exchange, body, service) => {
    const { call } = exchange;
    const asked = parseGenerateRequest(body, model, stream);
    Object.assign(call, { toolResults: asked.toolResults, images: asked.prompt.images });
    await service.admit(exchange, model, asked.prompt.all);
    const answering = service.answering(exchange, model);
    const seed = seedOfCall(asked, answering.seed);
    const saying = composeSaying(asked, answering, seed);
    const cachedTokens = answering.cachedTokens ?? seededCachedTokens(asked.prompt.all, seed);
    const served = {
      ...servedBy(asked.prompt, [saying]),
      cachedReadTokens: Math.min(cachedTokens, asked.prompt.all),
    };
    const bill: Bill = { served, wireUsage: geminiUsage };
    call.replyId = `sim-${answering.seed}-${call.number}`;
    noteToolCall(exchange, saying, functionCallId(saying.callId));
    const tellUsage = exchange.fault?.kind !== 'no-usage';
    const options = { model, responseId: call.replyId, saying, bill, tellUsage };
    if (stream) return sendStream(exchange, generatedStream(options, sse), service.pace());
    return sendReply(exchange, generatedJson(options), bill, tellUsage);
  };
}

function serveCount(model: string): Endpoint['serve'] {
  return async (exchange, body, service) => {
    const inner = body.generateContentRequest;
    const request = inner === undefined ? body : requiredRecord(inner, 'generateContentRequest');
    const { prompt } = parseGenerateRequest(request, model, false);
    await service.admit(exchange, model, 0);
    const promptTokensDetails = modalities({
      TEXT: prompt.all - prompt.image - prompt.audio,
      IMAGE: prompt.image,
      AUDIO: prompt.audio,
    });
    const bill = { served: nothingServed, wireUsage: () => null };
    return sendReply(exchange, JSON.stringify({ totalTokens: prompt.all, promptTokensDetails }), bill, false);
  };
}

function serveModels(exchange: Exchange, _: JsonObject, { options }: Service): Promise<void> {
  const id = exchange.call.path.split('/')[3] ?? '';
  if (id !== '' && options.models && !options.models.includes(id)) throw unknownModel(id);
  const models = (options.models ?? defaultModels).map((name) => modelCard(name, options.contextTokens));
  const body = id === '' ? { models } : modelCard(id, options.contextTokens);
  return sendWhole(exchange, 200, 'application/json; charset=UTF-8', JSON.stringify(body));
}

function modelCard(id: string, inputTokenLimit: number): object {
  const supportedGenerationMethods = id.includes('embedding')
    ? ['embedContent', 'batchEmbedContents']
    : ['generateContent', 'streamGenerateContent', 'countTokens'];
  return {
    name: `models/${id}`,
    version: '001',
    displayName: id,
    inputTokenLimit,
    outputTokenLimit: 65_536,
    supportedGenerationMethods,
  };
}
