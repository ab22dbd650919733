import type { Clock } from '../../platform/clock.ts';
import type { DatabaseScope } from '../../platform/database/database.ts';
import type { RecommendationsStore, Unused } from './recommendations.store.ts';
import { cheaperModels, merged, promptsToCache, type Recommendation } from './recommendations.ts';

export interface Recommendations {
  readonly from: Date;
  readonly to: Date;
  readonly recommendations: readonly Recommendation[];
  readonly notComputed: readonly { readonly kind: string; readonly reason: string }[];
}

const dayMs = 86_400_000;
const unusedDays = 30;
const maxOfKind = 20;

/** What cannot be said honestly from what is recorded, and why. */
const notComputed = [
  {
    kind: 'duplicated_calls',
    reason:
      'The ledger keeps no fingerprint of requests, and equal numbers of tokens do not prove equal requests. Switch the answer cache of a route on: the summary then says what it saved.',
  },
  {
    kind: 'cheaper_model_of_similar_quality',
    reason:
      'Nothing measures the quality of models on your calls yet. The recommendations of the kind cheaper_model go by price alone.',
  },
];

export function createRecommendations(store: RecommendationsStore, clock: Pick<Clock, 'now'>) {
  /** From the beginning of the last month in UTC until now; each with the arithmetic that it rests on. */
  return async (scope: DatabaseScope): Promise<Recommendations> => {
    const now = clock.now();
    const from = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1));
    const unusedSince = new Date(now.getTime() - unusedDays * dayMs);
    const facts = await store.facts(scope, from, unusedSince, now);
    const since = facts.since ?? now;
    const days = Math.max((now.getTime() - since.getTime()) / dayMs, 1);
    const saving = [
      ...cheaperModels(merged(facts.routes), facts.prices, days).sort(bySaving).slice(0, maxOfKind),
      ...promptsToCache(merged(facts.prompts), facts.prices, days).sort(bySaving).slice(0, maxOfKind),
    ].sort(bySaving);
    const recommendations = [
      ...saving,
      ...facts.unusedKeys.map((key) => unused('unused_key', key)),
      ...facts.unusedPrompts.map((prompt) => unused('unused_prompt', prompt)),
    ];
    return { from: since > from ? since : from, to: now, recommendations, notComputed };
  };
}

function bySaving(left: Recommendation, right: Recommendation): number {
  const [first, second] = [left.monthlySavingNanoUsd ?? 0n, right.monthlySavingNanoUsd ?? 0n];
  return first < second ? 1 : first > second ? -1 : 0;
}

function unused(kind: 'unused_key' | 'unused_prompt', found: Unused): Recommendation {
  const what = kind === 'unused_key' ? 'key' : 'prompt';
  const last = found.last_used_at?.toISOString() ?? 'never';
  return {
    kind,
    subject: `${what}:${found.id}`,
    title: `The ${what} ${found.name} was not used for ${unusedDays} days`,
    text:
      what === 'key'
        ? 'Revoke it if nobody needs it: a key that nobody misses is one that may be stolen unnoticed.'
        : 'It may be left over from something that is gone.',
    monthlySavingNanoUsd: null,
    arithmetic: {
      formula: `now - last_used_at >= ${unusedDays} days`,
      inputs: { last_used_at: last },
      assumptions: [],
    },
  };
}
