export { problemOf, streamError } from './error-reply.ts';
export { createHttp, type DeclaredRoute, type HttpServer } from './server.ts';
