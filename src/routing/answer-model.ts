import { type Provider, type Route, standsAside } from './resolution.ts';
import type { RoutingSnapshot } from './routing-snapshot.ts';

/**
 * The model that knowledge answers use when nobody set up a route: for a provider that is there because its variable
 * is set, a small chat model that it serves. Each is in the price catalogue, which a test checks.
 */
export const defaultChatModels: Readonly<Record<string, string>> = {
  openai: 'gpt-4o-mini',
  anthropic: 'claude-haiku-4-5',
  google: 'gemini-2.5-flash',
  mistral: 'mistral-small-latest',
  groq: 'llama-3.3-70b-versatile',
  deepseek: 'deepseek-chat',
};

const embeddingsRoute = 'embeddings';

/**
 * @returns the model name that knowledge answers call: the route `default`; else the tenant's oldest route that leads
 *   to a chat model, then the platform's; else, without any route, the chat model of the only provider from the
 *   environment, those that stand aside not counted. Null when there is none.
 */
export function answerModelOf(snapshot: RoutingSnapshot, tenantId: string): string | null {
  if (snapshot.route(tenantId, 'default')) return 'default';
  const routes = snapshot.visibleRoutes(tenantId);
  const [oldest] = routes.filter(leadsToChat).sort(tenantsFirstThenOldest);
  if (oldest) return oldest.name;
  if (routes.length > 0) return null;
  const fromEnvironment = snapshot.visibleProviders(tenantId).filter(isFromEnvironment);
  const [only] = fromEnvironment;
  const model = only && fromEnvironment.length === 1 ? defaultChatModels[only.name] : undefined;
  return only && model ? `${only.name}/${model}` : null;
}

/** @returns the route `embeddings` when there is one, else null: search is lexical then. */
export function embeddingModelOf(snapshot: RoutingSnapshot, tenantId: string): string | null {
  return snapshot.route(tenantId, embeddingsRoute) ? embeddingsRoute : null;
}

function leadsToChat(route: Route): boolean {
  const first = route.tiers[0]?.targets[0];
  return route.name !== embeddingsRoute && first !== undefined && !/embed/i.test(first.model);
}

function tenantsFirstThenOldest(a: Route, b: Route): number {
  const byOwner = Number(a.tenantId === null) - Number(b.tenantId === null);
  return byOwner || a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1);
}

function isFromEnvironment(provider: Provider): boolean {
  return provider.source === 'environment' && !standsAside(provider);
}
