import { platformPrincipal } from '../access/index.ts';
import { createAnswerStore, createModelAnswers, createRedisLevel } from '../cache/index.ts';
import { type Caller, createGateway } from '../gateway/index.ts';
import { streamError } from '../http/index.ts';
import {
  createRedisHealthShare,
  createRouting,
  createRoutingStore,
  createTargetHealth,
} from '../routing/index.ts';
import type { LimitsSection } from './limits.ts';
import type { MoneySection } from './money.ts';
import type { Platform } from './platform.ts';
import type { SecretsSection } from './secrets.ts';

type Around = SecretsSection & LimitsSection & MoneySection;

export type GatewaySection = ReturnType<typeof composeGateway>;

/** The model path: which target answers, what is known already, and the one function that calls models. */
export function composeGateway(platform: Platform, around: Around) {
  const { config, database, notifications, clock, newId, random, metrics, log } = platform;
  const { secretBox, keyring, references, limits, counters, costs, budgets } = around;
  const targetHealth = composeTargetHealth(platform);
  const routing = createRouting({
    store: createRoutingStore(database),
    secretBox,
    references,
    clock,
    newId,
    random,
    log,
    knowledge: { latencyMs: targetHealth.latencyMs, estimate: costs.estimate },
    environmentProviders: config.environmentProviders,
    subscribe: (onChange, onGap) => notifications.subscribe('routing_changed', onChange, onGap),
  });
  const reopenKeys = () => void routing.reopen();
  keyring.onChange(reopenKeys);
  references.onChange(reopenKeys);
  const cache = composeCache(platform);
  /** What a question means, for the semantic cache; on the tenant's behalf where the caller's key may only call models. */
  const embedQuestion = async (caller: Caller, text: string) => {
    const { principal } = caller;
    const model = routing.embeddingModelFor(principal);
    if (model === null) return null;
    const acting = principal.permissions.has('queries:run') ? principal : platformPrincipal(principal.tenant);
    const { correlationId, traceparent } = caller;
    const embeddingAs = { principal: acting, correlationId, traceparent };
    const embedded = await gateway.models.embed(embeddingAs, { model, inputs: [text] });
    const [vector] = embedded.vectors;
    return vector ? { vector, model: embedded.model } : null;
  };
  const gateway = createGateway({
    routing,
    health: targetHealth,
    costs,
    clock,
    newId,
    random,
    metrics,
    describeError: streamError,
    reservations: {
      limits: limits.gate,
      counters,
      budgets: budgets.gate,
      outputSizes: budgets.outputSizes,
    },
    hooks: { cache: createModelAnswers({ store: cache, clock, embed: embedQuestion }) },
  });
  return { targetHealth, routing, cache, gateway };
}

function composeTargetHealth({ redis, instanceId, clock, random, log, metrics }: Platform) {
  return createTargetHealth({
    clock,
    random,
    log,
    metrics,
    ...(redis === null ? {} : { share: createRedisHealthShare({ redis, instanceId, log }) }),
  });
}

function composeCache({ config, redis, clock, newId, random, metrics, log }: Platform) {
  return createAnswerStore({
    clock,
    random,
    metrics,
    ...config.cache,
    shared:
      redis === null
        ? undefined
        : (memory, { redisFailure }) =>
            createRedisLevel({
              redis,
              memory,
              clock,
              newId,
              log,
              maxBytesPerTenant: config.cache.maxRedisBytesPerTenant,
              onFailure: redisFailure,
            }),
  });
}
