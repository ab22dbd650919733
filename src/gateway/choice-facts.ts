import { noUsage, type TokenUsage } from '../costs/index.ts';
import type { CallFacts } from '../routing/index.ts';
import type { JsonObject } from './json-object.ts';
import type { ModelCall } from './model-call.ts';

/** Bound on output that is assumed where the caller sets none. */
const assumedOutputTokens = 1_024;
const bytesPerToken = 4;

/** @returns the tokens that a call is expected to use at most, by the size of its request and its bound on output. */
export function expectedUsage({ request, dialect }: ModelCall): TokenUsage {
  return {
    ...noUsage,
    inputTokens: Math.ceil(request.bytes.length / bytesPerToken),
    outputTokens: dialect.operation === 'chat' ? (request.outputBound ?? assumedOutputTokens) : 0,
  };
}

/** @returns what of a call decides between the targets of a route. */
export function choiceFacts(call: ModelCall): CallFacts {
  return {
    tenantId: call.caller.principal.tenantId,
    session: () => sessionOf(call),
    usage: () => expectedUsage(call),
    prefer: call.prefer,
  };
}

/**
 * Which conversation or end user a call belongs to: the header `X-Gatehouse-Session`; else what the dialect has for
 * it, the narrower thing first; else the caller's key.
 */
function sessionOf(call: ModelCall): string {
  const header = call.headers?.['x-gatehouse-session'];
  if (typeof header === 'string' && header !== '') return header;
  return sessionField(call.request.parsed()) ?? call.caller.principal.keyId;
}

function sessionField(request: JsonObject): string | null {
  const { prompt_cache_key, user, metadata } = request;
  const ofMessages = typeof metadata === 'object' && metadata !== null && (metadata as JsonObject).user_id;
  const given = [prompt_cache_key, user, ofMessages];
  return given.find((text): text is string => typeof text === 'string' && text !== '') ?? null;
}
