import { sql } from 'kysely';
import type { Database, DatabaseScope, Tx } from '../../platform/database/database.ts';
import { type CataloguePrice, type CataloguePrices, createPrice } from '../price.ts';
import { noUsage } from '../usage.ts';
import type { Priced } from './dimensions.ts';
import type { Sums } from './measures.ts';
import type { PricedLine, PricesById } from './recommendations.ts';

export interface Unused {
  readonly id: string;
  readonly name: string;
  readonly last_used_at: Date | null;
}

export interface UsageFacts {
  /** When the first of the calls looked at was made; null: none were. */
  readonly since: Date | null;
  readonly routes: readonly PricedLine[];
  readonly prompts: readonly PricedLine[];
  readonly prices: PricesById;
  readonly unusedKeys: readonly Unused[];
  readonly unusedPrompts: readonly Unused[];
}

export type RecommendationsStore = ReturnType<typeof createRecommendationsStore>;

/** The most expensive; what comes after them saves nothing that would be worth reading. */
const maxLines = 500;
const maxUnused = 20;
/** A prompt that was not used for longer than this has been forgotten. */
const forgottenDays = 120;
const dayMs = 86_400_000;

/** What recommendations are computed from, in one snapshot. Rows of the last seconds may be missing: they decide nothing. */
export function createRecommendationsStore(database: Pick<Database, 'inTenant'>) {
  return {
    /**
     * @param from the beginning of a month in UTC.
     * @param unusedSince keys and prompts that were not used from here on are unused.
     */
    facts: (scope: DatabaseScope, from: Date, unusedSince: Date, now: Date): Promise<UsageFacts> =>
      database.inTenant(
        scope,
        async (tx) => {
          const routes = await pricedLines(tx, 'route_price', from);
          const prompts = await pricedLines(tx, 'prompt_price', from);
          const { rows } = await sql<{ since: Date | null }>`select min(bucket) as since from cost_rollups
            where dimension = 'all' and grain = 'hour' and bucket >= ${from}`.execute(tx);
          const ids = [...new Set([...routes, ...prompts].map(({ priceId }) => priceId))];
          return {
            since: rows[0]?.since ?? null,
            routes,
            prompts,
            prices: await pricesOf(tx, ids),
            unusedKeys: await unusedKeys(tx, unusedSince, now),
            unusedPrompts: await unusedPrompts(tx, unusedSince),
          };
        },
        'one_snapshot',
      ),
  };
}

async function pricedLines(tx: Tx, dimension: Priced, from: Date): Promise<PricedLine[]> {
  const { rows } = await sql<{ value: string } & Sums>`select value, sum(calls)::bigint as calls,
      sum(cost_nano_usd)::bigint as cost_nano_usd, sum(input_tokens)::bigint as input_tokens,
      sum(cached_read_tokens)::bigint as cached_read_tokens, sum(cache_write_5m_tokens)::bigint as cache_write_5m_tokens,
      sum(cache_write_1h_tokens)::bigint as cache_write_1h_tokens, sum(output_tokens)::bigint as output_tokens,
      sum(reasoning_tokens)::bigint as reasoning_tokens, sum(image_tokens)::bigint as image_tokens,
      sum(audio_tokens)::bigint as audio_tokens
    from cost_rollups where dimension = ${dimension} and grain = 'month' and bucket >= ${from}
    group by value having sum(cost_nano_usd) > 0 order by sum(cost_nano_usd) desc limit ${maxLines}`.execute(
    tx,
  );
  return rows.map((row) => {
    const [subject, operation, provider, model, priceId] = JSON.parse(row.value) as [
      string | null,
      string,
      string,
      string,
      string | null,
    ];
    return {
      ...{ subject, operation, provider, model, priceId: priceId ?? '' },
      calls: row.calls,
      costNanoUsd: row.cost_nano_usd,
      otherTokens: row.image_tokens + row.audio_tokens,
      usage: {
        ...noUsage,
        inputTokens: Number(row.input_tokens),
        cachedReadTokens: Number(row.cached_read_tokens),
        cacheWrite5mTokens: Number(row.cache_write_5m_tokens),
        cacheWrite1hTokens: Number(row.cache_write_1h_tokens),
        outputTokens: Number(row.output_tokens),
        reasoningTokens: Number(row.reasoning_tokens),
      },
    };
  });
}

async function pricesOf(tx: Tx, ids: readonly string[]): Promise<PricesById> {
  const { rows } = await sql<{
    id: string;
    components: CataloguePrices;
    percent: string | null;
  }>`select id, components, discount_percent::text as percent from model_prices where id = any (${ids})`.execute(
    tx,
  );
  return new Map(
    rows.map(({ id, components, percent }) => {
      const flat = Object.fromEntries(
        Object.entries(components).map(([name, price]) => [name, withoutSteps(price)]),
      );
      const identity = { version: id, provider: '', model: '', index: 0, applies: null };
      const price = createPrice(identity, flat, percent === null ? null : { id, percent });
      return [id, { price, hasCachedRead: flat.cache_read_mtok !== undefined }];
    }),
  );
}

function withoutSteps(price: CataloguePrice | undefined): CataloguePrice | undefined {
  return typeof price === 'object' ? price.base : price;
}

async function unusedKeys(tx: Tx, since: Date, now: Date): Promise<Unused[]> {
  const { rows } = await sql<Unused>`select id, name, last_used_at from api_keys
    where created_at < ${since} and revoked_at is null and (expires_at is null or expires_at > ${now})
      and (last_used_at is null or last_used_at < ${since})
    order by last_used_at nulls first, id limit ${maxUnused}`.execute(tx);
  return rows;
}

async function unusedPrompts(tx: Tx, since: Date): Promise<Unused[]> {
  const forgotten = new Date(since.getTime() - forgottenDays * dayMs);
  const { rows } =
    await sql<Unused>`select value as id, value as name, max(bucket) as last_used_at from cost_rollups
    where dimension = 'prompt' and grain = 'day' and bucket >= ${forgotten} and value is not null
    group by value having max(bucket) < ${since} order by max(bucket), value limit ${maxUnused}`.execute(tx);
  return rows;
}
