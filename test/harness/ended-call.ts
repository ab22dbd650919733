import type { EndedCall } from '../../src/costs/costs.service.ts';
import { noUsage } from '../../src/costs/usage.ts';

/** A call as costs are told of it when it has ended: one attempt, 1,000 tokens in and 10 out, like any other. */
export function endedCall(
  given: Pick<EndedCall, 'id' | 'tenantId'>,
  overrides: Partial<EndedCall> = {},
): EndedCall {
  return {
    callId: given.id,
    promptId: null,
    tags: [],
    attempt: 1,
    final: true,
    savedNanoUsd: null,
    at: new Date(),
    correlationId: 'correlation-1',
    keyId: 'key-1',
    userId: null,
    operation: 'chat',
    dialect: 'openai-chat',
    route: 'fast',
    provider: 'sim',
    model: 'gpt-4o-mini',
    responseModel: 'gpt-4o-mini',
    tier: 'primary',
    status: 'ok',
    errorCode: null,
    streamed: false,
    rawUsage: '{"prompt_tokens": 1000, "completion_tokens": 10}',
    estimated: false,
    usage: { ...noUsage, inputTokens: 1000, outputTokens: 10 },
    attempts: 1,
    durationMs: 12.4,
    firstTokenMs: null,
    ...given,
    ...overrides,
  };
}
