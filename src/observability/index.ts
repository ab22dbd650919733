export { dependencyChecks } from './dependency-checks.ts';
export { createHealthHistory } from './health.store.ts';
export { createHealth } from './health.ts';
export { healthDetailRoutes, healthRoutes } from './observability.routes.ts';
