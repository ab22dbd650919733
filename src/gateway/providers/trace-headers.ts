import type { Caller } from '../model-call.ts';

/** Headers on every request to a provider: who sends it, and what the call is known by. Names and values in turn. */
export function traceHeaders({ correlationId, traceparent }: Caller): string[] {
  const headers = ['user-agent', 'gatehouse', 'x-correlation-id', correlationId];
  if (traceparent !== undefined) headers.push('traceparent', traceparent);
  return headers;
}
