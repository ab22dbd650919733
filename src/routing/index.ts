export { isLocalAddress } from './address-policy.ts';
export { providerHealthRoutes } from './health/health.routes.ts';
export type { HealthRules } from './health/provider-records.ts';
export { createRedisHealthShare } from './health/redis-share.ts';
export { createTargetHealth, type TargetHealth } from './health/target-health.ts';
export type { Refusal, Visit, VisitEnd } from './health/visit.ts';
export {
  type Provider,
  type ProviderKey,
  type ProviderKind,
  type ProviderSettings,
  type ProviderTimeouts,
  providerKinds,
  type Resolution,
  type RouteCache,
  type Strategy,
  type Target,
} from './resolution.ts';
export { routingRoutes } from './routing.routes.ts';
export { modelNamePattern } from './routing.schema.ts';
export { createRouting, type Routing } from './routing.service.ts';
export { createRoutingStore, type RoutingStore as RoutingRows } from './routing.store.ts';
export type { GivenProvider } from './routing-rows.ts';
export { sealedProviderKeys } from './sealed-keys.ts';
export { type CallFacts, onlyTarget, type PreferredTier, type TargetKnowledge } from './target-order.ts';
