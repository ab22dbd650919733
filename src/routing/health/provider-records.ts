import type { Provider } from '../resolution.ts';
import type { BreakerRules } from './breaker.ts';
import type { TargetRecord } from './target-record.ts';

export interface HealthRules extends BreakerRules {
  /** Calls in flight to one provider that sets no bound of its own. */
  readonly maxConcurrent: number;
}

export const defaultHealthRules: HealthRules = {
  failures: 5,
  openMs: 60_000,
  // Half of what there are connections to a provider, so that none waits for one unseen.
  maxConcurrent: 1_024,
};

/** Model names come from callers where they name provider and model, so only so many are kept, the youngest. */
const maxModels = 500;
const maxProviders = 1_000;

/** What is known of one provider. A provider that was changed is another object, of which nothing is known yet. */
export class ProviderRecord {
  readonly provider: Provider;
  inFlight = 0;
  readonly #maxConcurrent: number;
  readonly #newTarget: (provider: Provider, model: string) => TargetRecord;
  readonly #targets = new Map<string, TargetRecord>();

  constructor(
    provider: Provider,
    rules: HealthRules,
    newTarget: (provider: Provider, model: string) => TargetRecord,
  ) {
    this.provider = provider;
    this.#maxConcurrent = provider.settings.maxConcurrent ?? rules.maxConcurrent;
    this.#newTarget = newTarget;
  }

  hasRoom(): boolean {
    return this.inFlight < this.#maxConcurrent;
  }

  target(model: string): TargetRecord {
    const known = this.#targets.get(model);
    if (known) return known;
    const record = this.#newTarget(this.provider, model);
    addBounded(this.#targets, model, record, maxModels);
    return record;
  }

  knownTarget(model: string): TargetRecord | undefined {
    return this.#targets.get(model);
  }

  targets(): TargetRecord[] {
    return [...this.#targets.values()];
  }
}

export interface ProviderRecords {
  of(provider: Provider): ProviderRecord;
  withId(providerId: string): ProviderRecord | undefined;
  all(): ProviderRecord[];
}

export function createProviderRecords(
  rules: HealthRules,
  newTarget: (provider: Provider, model: string) => TargetRecord,
): ProviderRecords {
  const records = new Map<string, ProviderRecord>();
  return {
    of(provider) {
      const known = records.get(provider.id);
      if (known?.provider === provider) return known;
      const record = new ProviderRecord(provider, rules, newTarget);
      addBounded(records, provider.id, record, maxProviders);
      return record;
    },
    withId: (providerId) => records.get(providerId),
    all: () => [...records.values()],
  };
}

function addBounded<Value>(map: Map<string, Value>, key: string, value: Value, limit: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= limit) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}
