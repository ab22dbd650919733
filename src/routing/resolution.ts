/**
 * What a provider speaks. `openai` and `openai-compatible` take the OpenAI API's bytes; only the first is asked for
 * `/responses`, which few other servers have.
 */
export const providerKinds = [
  'openai',
  'azure',
  'anthropic',
  'gemini',
  'bedrock',
  'ollama',
  'openai-compatible',
  'kapa',
] as const;
export type ProviderKind = (typeof providerKinds)[number];

/** One of a provider's keys. Equal keys are the same object from snapshot to snapshot. */
export interface ProviderKey {
  /** As it was given; for Bedrock `<access key id>:<secret>[:<session token>]` or a Bedrock API key. */
  readonly value: string;
  /** Last characters of a long key; null for a short one. */
  readonly hint: string | null;
  /** Share of the calls. */
  readonly weight: number;
  /** Where the key is kept, when it was given as a reference such as `vault:path#field`. */
  readonly reference?: string;
}

/** How long a provider may take, in milliseconds. What is absent is the gateway's default. */
export interface ProviderTimeouts {
  readonly connectMs?: number;
  /** From the request's last byte to the first event of a stream, or to the headers of a whole reply. */
  readonly firstTokenMs?: number;
  /** Between two pieces of a reply. */
  readonly idleMs?: number;
  readonly totalMs?: number;
}

/** What only some providers need, or set differently. */
export interface ProviderSettings {
  /** Bedrock: the AWS region that requests are signed for, such as `eu-central-1`. */
  readonly awsRegion?: string;
  /** Kapa: the project that answers. */
  readonly projectId?: string;
  /** Calls that may be in flight to it at once from this instance. */
  readonly maxConcurrent?: number;
  readonly timeouts?: ProviderTimeouts;
}

/** A provider as a call reaches it. Kept in memory only, because it holds the keys. */
export interface Provider {
  readonly id: string;
  /** Null: the platform's. */
  readonly tenantId: string | null;
  readonly name: string;
  readonly kind: ProviderKind;
  /** Without a trailing slash. */
  readonly baseUrl: string;
  /** None: the server asks for none. */
  readonly keys: readonly ProviderKey[];
  /** Why the stored keys cannot be used, in words for the log; null when all is well. */
  readonly keyProblem: string | null;
  readonly settings: ProviderSettings;
  /** Whether it may be on this machine or a link-local neighbour; else that is checked when connecting, too. */
  readonly localAddressesAllowed: boolean;
  /** Set up by an API call, or there because its variable is set. */
  readonly source: 'stored' | 'environment';
  readonly createdAt: Date;
}

/**
 * Providers from the environment that are only used by name: AWS keys are on many machines for other purposes, and Kapa
 * answers from documents of its own.
 */
export function standsAside({ source, kind }: Provider): boolean {
  return source === 'environment' && (kind === 'bedrock' || kind === 'kapa');
}

/** A tier as it is stored: providers by name. */
export interface TierPlan {
  readonly targets: readonly { readonly provider: string; readonly model: string; readonly weight: number }[];
}

/** How the targets of a tier are put in order. */
export const strategies = ['priority', 'weighted', 'least_latency', 'lowest_cost', 'sticky'] as const;
export type Strategy = (typeof strategies)[number];

/** Whether answers of a route are kept, and for whom they count as the same. */
export interface RouteCache {
  readonly mode: 'off' | 'exact' | 'semantic';
  /** Absent: the cache's default. */
  readonly ttlSeconds?: number;
  /** Least cosine similarity of two questions that may share an answer; absent: the cache's default. */
  readonly similarityThreshold?: number;
}

export interface Route {
  readonly id: string;
  readonly tenantId: string | null;
  readonly name: string;
  readonly strategy: Strategy;
  readonly cache: RouteCache;
  readonly tiers: readonly TierPlan[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** One place where a call can be answered. */
export interface Target {
  readonly tier: string;
  readonly provider: Provider;
  /** As the provider names it. */
  readonly model: string;
  readonly weight: number;
}

/** What a requested model name stands for, for one tenant. */
export interface Resolution {
  /** Null when the caller named provider and model. */
  readonly route: string | null;
  readonly strategy: Strategy;
  readonly cache: RouteCache;
  /** Changes with whatever decides what is answered: a short hash of tiers, targets, strategy, and the servers behind them. */
  readonly version: string;
  /** In the order in which they are tried; no tier is empty. */
  readonly tiers: readonly (readonly Target[])[];
}

const namedTiers = ['primary', 'secondary', 'economical'];
export const maxTiers = 5;

export function tierName(index: number): string {
  return namedTiers[index] ?? `tier_${index + 1}`;
}
