/** A provider as a call reaches it. Kept in memory only, because it holds the key. */
export interface Provider {
  readonly id: string;
  /** Null: the platform's. */
  readonly tenantId: string | null;
  readonly name: string;
  readonly kind: 'openai';
  /** Without a trailing slash. */
  readonly baseUrl: string;
  /** Null: the server asks for none. */
  readonly apiKey: string | null;
  /** Why the stored key cannot be used, in words for the log; null when all is well. */
  readonly keyProblem: string | null;
  readonly keyHint: string | null;
  /** Whether it may be on this machine or a link-local neighbour; else that is checked when connecting, too. */
  readonly localAddressesAllowed: boolean;
  /** Set up by an API call, or there because its variable is set. */
  readonly source: 'stored' | 'environment';
  readonly createdAt: Date;
}

/** A tier as it is stored: providers by name. */
export interface TierPlan {
  readonly targets: readonly { readonly provider: string; readonly model: string; readonly weight: number }[];
}

export interface Route {
  readonly id: string;
  readonly tenantId: string | null;
  readonly name: string;
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
  /** In the order in which they are tried; no tier is empty. */
  readonly tiers: readonly (readonly Target[])[];
}

const namedTiers = ['primary', 'secondary', 'economical'];
export const maxTiers = 5;

export function tierName(index: number): string {
  return namedTiers[index] ?? `tier_${index + 1}`;
}

/**
 * The order in which a call tries its targets: tier by tier, and within a tier drawn by weight, so that the first one
 * is chosen with its share of the weights and the others stand by.
 * @param fraction gives a number in [0, 1).
 */
export function targetsInOrder(resolution: Resolution, fraction: () => number): readonly Target[] {
  const [first] = resolution.tiers;
  if (first && resolution.tiers.length === 1 && first.length === 1) return first;
  return resolution.tiers.flatMap((tier) => drawnByWeight(tier, fraction));
}

function drawnByWeight(tier: readonly Target[], fraction: () => number): Target[] {
  const left = [...tier];
  const drawn: Target[] = [];
  while (left.length > 0) {
    let at = fraction() * left.reduce((total, target) => total + target.weight, 0);
    const index = left.findIndex((target) => {
      at -= target.weight;
      return at < 0;
    });
    // Adding up fractions may fall short of the total by the last bit; then it is the last one's turn.
    drawn.push(...left.splice(index < 0 ? left.length - 1 : index, 1));
  }
  return drawn;
}
