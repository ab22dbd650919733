export { createAuditTrail, type Refusal } from './audit-trail.ts';
export { problemOf, streamError } from './error-reply.ts';
export { createIdempotency, createIdempotencyStore, repliesAboutDocuments } from './idempotency/index.ts';
export { createOverload, overloadThresholds } from './overload.ts';
export type { RequestLimitsDependencies } from './request-limits.ts';
export { createHttp, type DeclaredRoute, type HttpServer } from './server.ts';
export { readTls } from './tls.ts';
