import type { Exchange } from '../exchange.ts';
import { composeSaying, seedOfCall, servedBy } from '../model-call.ts';
import { cacheUse } from '../prompt-cache.ts';
import type { Endpoint, Provider, Service } from '../provider.ts';
import { type Bill, noteToolCall, sendReply, sendStream } from '../send.ts';
import { serveInvoke } from './embed.ts';
import { bedrockFace } from './face.ts';
import { converseJson, converseStream, converseUsage, toolUseId } from './reply.ts';
import { parseConverseRequest } from './request.ts';

/** Amazon Bedrock's runtime: converse, whole and streamed, and invoke for embeddings. */
export const bedrock: Provider = {
  find({ pathname }) {
    const [, encoded, action] = /^\/model\/([^/]+)\/(converse|converse-stream|invoke)$/u.exec(pathname) ?? [];
    if (encoded === undefined || action === undefined) return undefined;
    const model = decodeURIComponent(encoded);
    const common = {
      face: bedrockFace,
      method: 'POST' as const,
      model,
      stream: action === 'converse-stream',
    };
    if (action === 'invoke') return { ...common, wire: 'bedrock-embeddings', serve: serveInvoke(model) };
    return { ...common, wire: 'bedrock-converse', serve: serveConverse(model, common.stream) };
  },
};

function serveConverse(model: string, stream: boolean): Endpoint['serve'] {
  return async (exchange: Exchange, body, service: Service) => {
    const { call } = exchange;
    const asked = parseConverseRequest(body, model, stream);
    Object.assign(call, { toolResults: asked.toolResults, images: asked.prompt.images });
    await service.admit(exchange, model, asked.prompt.all);
    const answering = service.answering(exchange, model);
    const saying = composeSaying(asked, answering, seedOfCall(asked, answering.seed));
    const owner = `${exchange.key}\n${model}`;
    const cached = cacheUse(service.promptCache, owner, asked, answering.cachedTokens);
    const bill: Bill = {
      served: { ...servedBy(asked.prompt, [saying]), ...cached },
      wireUsage: converseUsage,
    };
    call.replyId = call.requestId;
    noteToolCall(exchange, saying, toolUseId(saying.callId));
    const tellUsage = exchange.fault?.kind !== 'no-usage';
    const tellStop = asked.responsePaths.includes('/delta/stop_sequence');
    const options = { saying, bill, tellStop, tellUsage };
    if (stream) return sendStream(exchange, converseStream(options), service.pace());
    return sendReply(exchange, converseJson(options), bill, tellUsage);
  };
}
