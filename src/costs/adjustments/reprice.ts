import type { Price } from '../price.ts';
import type { PriceCatalogue, PricedTarget } from '../price-catalogue.ts';
import type { AdjustmentRow, ChargeableRow } from './adjustments.store.ts';
import { usageOfRow } from './row-usage.ts';

/** What became of the rows that a repricing looked at. */
export interface RepriceCounts {
  readonly rows: number;
  /** Rows whose cost is another now; of those, rows that had none before. */
  readonly adjusted: number;
  readonly newlyPriced: number;
  /** Rows that had no price and have none now. */
  readonly stillUnpriced: number;
  /** Rows that had a price and for which there is none now: they keep their cost. */
  readonly noPriceNow: number;
  /** Rows whose images or audio cannot be told apart by direction: they keep their cost. */
  readonly notTold: number;
  readonly deltaNanoUsd: bigint;
}

export const noneRepriced: RepriceCounts = {
  rows: 0,
  adjusted: 0,
  newlyPriced: 0,
  stillUnpriced: 0,
  noPriceNow: 0,
  notTold: 0,
  deltaNanoUsd: 0n,
};

export function addCounts(a: RepriceCounts, b: RepriceCounts): RepriceCounts {
  return {
    rows: a.rows + b.rows,
    adjusted: a.adjusted + b.adjusted,
    newlyPriced: a.newlyPriced + b.newlyPriced,
    stillUnpriced: a.stillUnpriced + b.stillUnpriced,
    noPriceNow: a.noPriceNow + b.noPriceNow,
    notTold: a.notTold + b.notTold,
    deltaNanoUsd: a.deltaNanoUsd + b.deltaNanoUsd,
  };
}

export interface Repricing {
  readonly tenantId: string;
  readonly batchId: string;
  readonly reason: string;
  readonly createdBy: string;
  readonly createdAt: Date;
}

export interface RepriceDependencies {
  readonly prices: Pick<PriceCatalogue, 'priceOf'>;
  /** Where a provider's models are; empty when the tenant has no such provider any more. */
  readonly addressOf: (tenantId: string, provider: string) => string;
  readonly newId: () => string;
}

/**
 * @returns what takes rows of the ledger and gives the adjustments that bring each to what it costs by the prices that hold
 *   now for its time, and the prices they name. A row that costs that already, earlier repricing included, gets none.
 */
export function createReprice(about: Repricing, deps: RepriceDependencies) {
  const targets = new Map<string, PricedTarget>();
  /** One object for each: prices are remembered by it. */
  const targetOf = ({ provider, model }: ChargeableRow): PricedTarget => {
    const key = `${provider} ${model}`;
    const known = targets.get(key);
    if (known) return known;
    const target = { provider: { name: provider, baseUrl: deps.addressOf(about.tenantId, provider) }, model };
    targets.set(key, target);
    return target;
  };

  return (rows: readonly ChargeableRow[]) => {
    const adjustments: AdjustmentRow[] = [];
    const prices = new Map<string, Price>();
    const left = { stillUnpriced: 0, noPriceNow: 0, notTold: 0 };
    for (const row of rows) {
      const usage = usageOfRow(row);
      if (usage === null) {
        left.notTold++;
        continue;
      }
      const price = deps.prices.priceOf(targetOf(row), row.at, about.tenantId);
      const cost = price?.costOf(usage) ?? null;
      const unpriced = row.cost_nano_usd === null && !row.priced_since;
      if (price === null || cost === null) {
        left[unpriced ? 'stillUnpriced' : 'noPriceNow']++;
        continue;
      }
      const delta = cost - ((row.cost_nano_usd ?? 0n) + row.adjusted_nano_usd);
      if (delta === 0n && !unpriced) continue;
      prices.set(price.id, price);
      adjustments.push(adjustmentOf(row, price, delta, unpriced));
    }
    const counts: RepriceCounts = {
      rows: rows.length,
      adjusted: adjustments.length,
      newlyPriced: adjustments.filter((adjustment) => adjustment.priced_now).length,
      ...left,
      deltaNanoUsd: adjustments.reduce((sum, adjustment) => sum + adjustment.delta_nano_usd, 0n),
    };
    return { rows: adjustments, prices: [...prices.values()], counts };
  };

  function adjustmentOf(row: ChargeableRow, price: Price, delta: bigint, pricedNow: boolean): AdjustmentRow {
    const { operation, route, provider, model, tier, key_id, user_id, prompt_id, tags } = row;
    return {
      id: deps.newId(),
      at: row.at,
      kind: 'reprice',
      ledger_id: row.id,
      ...{ operation, route, provider, model, tier, key_id, user_id, prompt_id, tags },
      delta_nano_usd: delta,
      priced_now: pricedNow,
      price_id: price.id,
      price_version: price.version,
      reason: about.reason,
      batch_id: about.batchId,
      created_by: about.createdBy,
      created_at: about.createdAt,
    };
  }
}
