import type { Routes } from '../platform/api.ts';
import type { Routing } from '../routing/index.ts';
import { anthropicRoutes } from './anthropic.routes.ts';
import { feedbackRoutes } from './feedback.routes.ts';
import type { SendFeedback } from './feedback.ts';
import type { ModelRouteDependencies } from './model-route.ts';
import { modelListRoutes } from './models.routes.ts';
import { openAiRoutes } from './openai.routes.ts';
import { openAiResponsesRoutes } from './openai-responses.routes.ts';

export interface GatewayRoutesDependencies extends ModelRouteDependencies {
  readonly routing: Pick<Routing, 'callableRoutes' | 'resolve'>;
  readonly sendFeedback: SendFeedback;
}

/** Everything under /v1: the routes of each dialect, the list of models, and feedback. */
export function gatewayRoutes(deps: GatewayRoutesDependencies): Routes {
  const all: readonly Routes[] = [
    openAiRoutes(deps),
    openAiResponsesRoutes(deps),
    anthropicRoutes(deps),
    modelListRoutes(deps.routing),
    feedbackRoutes(deps),
  ];
  return (api) => {
    for (const routes of all) {
      // Each in its own scope, so that what one adds (a body parser, say) is not another's.
      api.register(async (scope) => routes(scope as unknown as typeof api));
    }
  };
}
