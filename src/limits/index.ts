export type {
  Actuals,
  AdmissionRequest,
  Admitted,
  BudgetDemand,
  Counters,
  Decision,
  Demand,
  DemandState,
  EstablishedBudget,
  Refused,
  Unknown,
} from './counters/counters.ts';
export { createMemoryCounters, type MemoryCounters } from './counters/memory-counters.ts';
export { createRedisCounters, type RedisCounters } from './counters/redis-counters.ts';
export type { LimitedRequest, LimitGate } from './limit-gate.ts';
export { limitsRoutes } from './limits.routes.ts';
export { createLimits, type Limits } from './limits.service.ts';
export { createLimitsStore } from './limits.store.ts';
export { rateLimitsRoutes } from './rate-limits.routes.ts';
export type { RouteLimits } from './route-declaration.ts';
export { createViolationCount } from './violations.ts';
