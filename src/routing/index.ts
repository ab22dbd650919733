export { isLocalAddress } from './address-policy.ts';
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
