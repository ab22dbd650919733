export { type Step, steps } from './call-model.ts';
export { createGateway, defaultTimeouts, type Gateway, type GatewayTimeouts } from './gateway.ts';
export type { AnswerCache, GatewayHooks, StreamGuard } from './hooks.ts';
export { defaultInFlightBounds, type InFlightBounds } from './in-flight.ts';
export type {
  ChatAnswer,
  ChatRequest,
  Embeddings,
  EmbedRequest,
  InProcessCaller,
  InProcessModels,
} from './in-process.ts';
export type { Answer, Caller, DialectName, GeneratedBy, ModelCall, WholeAnswer } from './model-call.ts';
