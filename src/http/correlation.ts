import type { IncomingHttpHeaders } from 'node:http';
import type { NewId } from '../platform/ids.ts';

const wellFormed = /^[A-Za-z0-9][A-Za-z0-9._:-]{7,127}$/;
/** W3C Trace Context, version 00: version, trace id, parent id, flags; all-zero ids are invalid. */
const traceContext = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** @returns the caller's correlation id when it is 8 to 128 plain characters, else a new one. */
export function correlationIdOf(headers: IncomingHttpHeaders, newId: NewId): string {
  const given = headers['x-correlation-id'];
  return typeof given === 'string' && wellFormed.test(given) ? given : newId();
}

export function traceparentOf(headers: IncomingHttpHeaders): string | undefined {
  const given = headers.traceparent;
  return typeof given === 'string' && traceContext.test(given) ? given : undefined;
}
