import type { Provider, ProviderTimeouts, Resolution, Target } from '../../routing/index.ts';

/** How long things may take, in milliseconds; a provider's own settings go before these. */
export type GatewayTimeouts = Required<ProviderTimeouts>;

export const defaultTimeouts: GatewayTimeouts = {
  connectMs: 5_000,
  firstTokenMs: 60_000,
  idleMs: 60_000,
  totalMs: 600_000,
};

export interface Timeouts {
  /** What holds for one attempt at this provider; `totalMs` is from its beginning to its last byte. */
  of(provider: Provider): GatewayTimeouts;
  /** How long a call with these targets may take, with all its attempts: as long as the most patient one of them. */
  ofTargets(targets: readonly Target[]): number;
  /** The same of all that a model name may lead to. */
  ofCall(resolution: Resolution): number;
}

export function createTimeouts(defaults: GatewayTimeouts): Timeouts {
  const ofProviders = new WeakMap<Provider, GatewayTimeouts>();
  const ofCalls = new WeakMap<Resolution, number>();
  const of = (provider: Provider): GatewayTimeouts => {
    let timeouts = ofProviders.get(provider);
    if (!timeouts) {
      timeouts = { ...defaults, ...provider.settings.timeouts };
      ofProviders.set(provider, timeouts);
    }
    return timeouts;
  };
  const ofTargets = (targets: readonly Target[]): number =>
    // A provider may shorten its own attempts, not the time that the others have.
    Math.max(defaults.totalMs, ...targets.map(({ provider }) => of(provider).totalMs));
  return {
    of,
    ofTargets,
    ofCall(resolution) {
      let totalMs = ofCalls.get(resolution);
      if (totalMs === undefined) {
        totalMs = ofTargets(resolution.tiers.flat());
        ofCalls.set(resolution, totalMs);
      }
      return totalMs;
    },
  };
}
