import { usdFromNano } from '../money.ts';
import type { Price } from '../price.ts';
import { noUsage, type TokenUsage } from '../usage.ts';

/** What calls of one route or prompt to one model came to, at one price. */
export interface PricedLine {
  /** The route or prompt; null: none. */
  readonly subject: string | null;
  readonly operation: string;
  readonly provider: string;
  readonly model: string;
  readonly priceId: string;
  readonly calls: bigint;
  readonly costNanoUsd: bigint;
  readonly usage: TokenUsage;
  /** Images or sound, whose direction a sum does not tell. */
  readonly otherTokens: bigint;
}

/** The prices that lines were charged with, by id; without steps for long prompts, which sums cannot be priced by. */
export type PricesById = ReadonlyMap<string, { readonly price: Price; readonly hasCachedRead: boolean }>;

export interface Recommendation {
  readonly kind: 'cache_prompt' | 'cheaper_model' | 'unused_key' | 'unused_prompt';
  readonly subject: string;
  readonly title: string;
  readonly text: string;
  /** Over 30 days, nano-dollars; null: it saves no money by itself. */
  readonly monthlySavingNanoUsd: bigint | null;
  readonly arithmetic: {
    readonly formula: string;
    readonly inputs: Readonly<Record<string, string | number>>;
    readonly assumptions: readonly string[];
  };
}

const monthDays = 30;
/** Less than this is not worth anybody's time. */
const leastSavingNanoUsd = 1_000_000_000n;
/** Providers cache prompts from about this many tokens on; OpenAI's documentation names 1,024. */
const leastCachedTokens = 1_024;
const leastCalls = 100n;
/** A prompt of which more is read from the cache already is being cached. */
const cachedPercent = 50n;
/** What of a prompt is taken to be the same in each call; nobody has measured it. */
const samePercent = 50n;
const noSteps = 'Prices without their steps for long prompts.';

/**
 * Another model that the tenant calls already, at the price that it pays for it, for what a route's calls used.
 * @param days how long the lines are of.
 */
export function cheaperModels(
  lines: readonly PricedLine[],
  prices: PricesById,
  days: number,
): Recommendation[] {
  const routes = lines.filter(
    ({ subject, otherTokens, operation }) => subject !== null && otherTokens === 0n && operation === 'chat',
  );
  return routes.flatMap((line) => {
    const others = lines.filter(
      ({ operation, provider, model }) =>
        operation === line.operation && (provider !== line.provider || model !== line.model),
    );
    let best: { other: PricedLine; cost: bigint } | null = null;
    for (const other of others) {
      const cost = prices.get(other.priceId)?.price.costOf(line.usage) ?? null;
      if (cost !== null && (best === null || cost < best.cost)) best = { other, cost };
    }
    if (best === null) return [];
    const saving = perMonth(line.costNanoUsd - best.cost, days);
    if (saving < leastSavingNanoUsd) return [];
    const { other, cost } = best;
    return [
      {
        kind: 'cheaper_model' as const,
        subject: `route:${line.subject}`,
        title: `${line.model} on the route ${line.subject} has a cheaper neighbour, ${other.model}`,
        text: `By price alone: the quality of ${other.model} for these calls was not measured. Try it on some of them first.`,
        monthlySavingNanoUsd: saving,
        arithmetic: {
          formula: '(cost_usd - cost_at_other_usd) * 30 / days',
          inputs: {
            ...inputsOf(line, days),
            other_provider: other.provider,
            other_model: other.model,
            other_price_id: other.priceId,
            cost_at_other_usd: usdFromNano(cost),
          },
          assumptions: [
            'Quality not measured: the other model is taken to read and write as many tokens.',
            noSteps,
          ],
        },
      },
    ];
  });
}

/** Prompts that are long, sent often, and hardly ever read from the provider's cache. */
export function promptsToCache(
  lines: readonly PricedLine[],
  prices: PricesById,
  days: number,
): Recommendation[] {
  return lines.flatMap((line) => {
    const { usage, calls, subject } = line;
    const known = prices.get(line.priceId);
    if (subject === null || !known?.hasCachedRead || calls < leastCalls || line.otherTokens > 0n) return [];
    const input = BigInt(usage.inputTokens);
    const cached = BigInt(usage.cachedReadTokens);
    if (input < calls * BigInt(leastCachedTokens) || cached * 100n >= input * cachedPercent) return [];
    const fresh = input - cached - BigInt(usage.cacheWrite5mTokens) - BigInt(usage.cacheWrite1hTokens);
    const same = (fresh * samePercent) / 100n;
    const read = (cachedReadTokens: bigint) =>
      known.price.costOf({
        ...noUsage,
        inputTokens: Number(same),
        cachedReadTokens: Number(cachedReadTokens),
      });
    const [full, reduced] = [read(0n), read(same)];
    if (full === null || reduced === null) return [];
    const saving = perMonth(full - reduced, days);
    if (saving < leastSavingNanoUsd) return [];
    return [
      {
        kind: 'cache_prompt' as const,
        subject: `prompt:${subject}`,
        title: `The prompt ${subject} is long, sent often and hardly cached`,
        text: `Put what is the same in each call first, and mark it for caching where ${line.provider} wants that.`,
        monthlySavingNanoUsd: saving,
        arithmetic: {
          formula: '(same_tokens_as_input_usd - same_tokens_as_cached_read_usd) * 30 / days',
          inputs: {
            ...inputsOf(line, days),
            average_input_tokens: Number(input / calls),
            uncached_tokens: Number(fresh),
            assumed_same_percent: Number(samePercent),
            same_tokens: Number(same),
            same_tokens_as_input_usd: usdFromNano(full),
            same_tokens_as_cached_read_usd: usdFromNano(reduced),
          },
          assumptions: [
            `${samePercent} % of what is not cached is taken to be the same in each call.`,
            'What some providers charge for writing to the cache is not deducted.',
            noSteps,
          ],
        },
      },
    ];
  });
}

/** Lines of one subject, provider and model as one, charged at whichever of their prices is named last. */
export function merged(lines: readonly PricedLine[]): PricedLine[] {
  const groups = Map.groupBy(lines, ({ subject, operation, provider, model }) =>
    JSON.stringify([subject, operation, provider, model]),
  );
  return [...groups.values()].map((group) => group.reduce(added));
}

function added(left: PricedLine, right: PricedLine): PricedLine {
  const usage = Object.fromEntries(
    Object.entries(left.usage).map(([name, tokens]) => [
      name,
      tokens + right.usage[name as keyof TokenUsage],
    ]),
  ) as unknown as TokenUsage;
  return {
    ...left,
    priceId: [left.priceId, right.priceId].sort()[1] ?? left.priceId,
    calls: left.calls + right.calls,
    costNanoUsd: left.costNanoUsd + right.costNanoUsd,
    otherTokens: left.otherTokens + right.otherTokens,
    usage,
  };
}

function perMonth(nanoUsd: bigint, days: number): bigint {
  return (nanoUsd * BigInt(monthDays * 1_000)) / BigInt(Math.max(Math.round(days * 1_000), 1));
}

function inputsOf(line: PricedLine, days: number): Record<string, string | number> {
  return {
    days: Math.round(days * 1_000) / 1_000,
    calls: Number(line.calls),
    provider: line.provider,
    model: line.model,
    price_id: line.priceId,
    cost_usd: usdFromNano(line.costNanoUsd),
    input_tokens: line.usage.inputTokens,
    cached_read_tokens: line.usage.cachedReadTokens,
    output_tokens: line.usage.outputTokens,
  };
}
