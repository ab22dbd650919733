import { composeSaying, seededCachedTokens, seedOfCall, servedBy } from '../model-call.ts';
import type { Endpoint } from '../provider.ts';
import { type Bill, noteToolCall, sendReply, sendStream } from '../send.ts';
import type { InputItem } from './responses-input.ts';
import { readInput } from './responses-input.ts';
import { parseResponsesRequest } from './responses-request.ts';
import { responseJson, responseStream, responsesUsage } from './responses-wire.ts';

/** Responses kept to be gone on from; past that the oldest is forgotten. */
const maxKept = 1_000;

/** Answers `POST /v1/responses`. Keeps what was said, unless `store` is false, for `previous_response_id`. */
export function createResponses(): Endpoint['serve'] {
  const kept = new Map<string, readonly InputItem[]>();

  function keep(id: string, items: readonly InputItem[]): void {
    kept.set(id, items);
    if (kept.size > maxKept) kept.delete(kept.keys().next().value ?? '');
  }

  return async (exchange, body, service) => {
    const { call } = exchange;
    const asked = parseResponsesRequest(body, (id) => kept.get(id));
    Object.assign(call, { toolResults: asked.toolResults, images: asked.prompt.images });
    await service.admit(exchange, asked.model, asked.prompt.all);
    const answering = service.answering(exchange, asked.model);
    const seed = seedOfCall(asked, answering.seed);
    const saying = composeSaying(asked, answering, seed);
    const cachedTokens = answering.cachedTokens ?? seededCachedTokens(asked.prompt.all, seed);
    const served = {
      ...servedBy(asked.prompt, [saying]),
      cachedReadTokens: Math.min(cachedTokens, asked.prompt.all),
    };
    const bill: Bill = { served, wireUsage: responsesUsage };
    call.replyId = `resp_sim_${answering.seed}_${call.number}`;
    noteToolCall(exchange, saying, `call_${saying.callId}`);
    const { model, echo, encryptThoughts } = asked;
    const tellUsage = exchange.fault?.kind !== 'no-usage';
    const createdS = Math.floor(service.options.now() / 1_000);
    const options = { id: call.replyId, model, createdS, saying, bill, encryptThoughts, echo, tellUsage };
    const whole = responseJson(options);
    if (body.store !== false) keep(call.replyId, [...asked.items, ...readInput(outputOf(whole))]);
    if (asked.stream) return sendStream(exchange, responseStream(options), service.pace());
    return sendReply(exchange, whole, bill, tellUsage);
  };
}

function outputOf(response: string): unknown {
  return (JSON.parse(response) as { output: unknown }).output;
}
