export { type Step, steps } from './call-model.ts';
export { createGateway, type Gateway } from './gateway.ts';
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
export { wayTo } from './providers/way-to.ts';
export type { Reservations } from './reserve-call.ts';
export type { RetryBudgetRules } from './resilience/retry-budget.ts';
export { defaultTimeouts, type GatewayTimeouts } from './resilience/timeouts.ts';
