import type { Principal } from '../../access/index.ts';
import type { Clock } from '../../platform/clock.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import type { PageCursor } from '../../platform/page.ts';
import type { CataloguePrices, Price } from '../price.ts';
import type { PriceCatalogue, PricedTarget } from '../price-catalogue.ts';
import {
  createPriceRules,
  type PriceDiscount,
  type PriceInForce,
  type PriceOverride,
  type PriceRules,
} from './price-rules.ts';
import type { DiscountRow, OverrideRow, PriceScope, PricesStore, RuleFilter } from './prices.store.ts';

export interface PricesDependencies {
  readonly store: PricesStore;
  readonly catalogue: PriceCatalogue;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly log: Log;
  /** Hears of every change of prices, on whatever instance, and of gaps in hearing. */
  readonly subscribe: (onChange: () => void, onGap: () => void) => void;
}

export interface NewOverride {
  readonly provider: string;
  readonly model: string;
  readonly effectiveFrom: Date | null;
  readonly components: CataloguePrices;
  readonly reason: string | null;
}

export interface NewDiscount {
  readonly provider: string | null;
  readonly model: string | null;
  readonly percent: string;
  readonly effectiveFrom: Date | null;
  readonly effectiveTo: Date | null;
  readonly reason: string | null;
}

interface PageAsked {
  readonly limit: number;
  readonly after: PageCursor | null;
}

export type Prices = ReturnType<typeof createPrices>;

/** Of each, for each tenant and for the platform: every instance keeps all of them in memory. */
const mostRules = 1_000;

/**
 * Prices as tenants have them: the catalogue's, but for overrides and discounts. They are kept in memory as they were at
 * one moment; a change anywhere replaces them.
 */
export function createPrices(deps: PricesDependencies) {
  const { store, catalogue, clock } = deps;
  let rulesOf: (tenantId: string) => PriceRules | null = () => null;
  let reading: Promise<void> | null = null;
  let readAgain = false;

  const read = async (): Promise<void> => {
    const [overrides, discounts] = await Promise.all([store.allOverrides(), store.allDiscounts()]);
    rulesOf = rulesByTenant(overrides.map(overrideOf), discounts.map(discountOf), catalogue);
  };
  /** Settles after a reading that began no earlier than the call; many calls share one. */
  const refresh = async (): Promise<void> => {
    if (reading) {
      readAgain = true;
      return reading;
    }
    reading = (async () => {
      do {
        readAgain = false;
        await read();
      } while (readAgain);
    })().finally(() => {
      reading = null;
    });
    return reading;
  };
  const refreshQuietly = () => {
    refresh().catch((err) =>
      deps.log.warn({ err }, 'prices could not be read; those known before hold for now'),
    );
  };
  deps.subscribe(refreshQuietly, refreshQuietly);

  const inForce = (target: PricedTarget, at: Date, tenantId: string): PriceInForce | null => {
    const rules = rulesOf(tenantId);
    if (rules) return rules.inForce(target, at);
    const price = catalogue.priceOf(target, at);
    return price && { price, override: null, discount: null };
  };

  return {
    start: refresh,
    version: catalogue.version,
    priceOf(target: PricedTarget, at: Date, tenantId?: string): Price | null {
      const rules = tenantId === undefined ? null : rulesOf(tenantId);
      return rules === null ? catalogue.priceOf(target, at) : (rules.inForce(target, at)?.price ?? null);
    },
    /** The price that holds for a tenant at a time, and why; null: none. */
    inForce,

    /**
     * Adds a price for a provider's model, from now on unless told otherwise. It holds when this resolves.
     * @throws AppError `conflict` when there are 1,000 already.
     */
    async addOverride(principal: Principal, given: NewOverride): Promise<OverrideRow> {
      const row = { ...about(principal, given), components: given.components, model: given.model };
      const added = { ...row, provider: given.provider };
      const room = await store.addOverride(scopeOf(principal), added, mostRules);
      if (!room) throw tooMany('prices');
      await refresh();
      return { ...added, withdrawn_by: null, withdrawn_at: null };
    },
    /** The same for a discount. */
    async addDiscount(principal: Principal, given: NewDiscount): Promise<DiscountRow> {
      const added = {
        ...about(principal, given),
        provider: given.provider,
        model: given.model,
        percent: given.percent,
        effective_to: given.effectiveTo,
      };
      if (added.effective_to !== null && added.effective_to <= added.effective_from) {
        throw new AppError('invalid', 'A discount must end after it begins.', {
          errors: [
            { path: 'effective_to', message: 'must be after effective_from, which is now if not given' },
          ],
        });
      }
      const room = await store.addDiscount(scopeOf(principal), added, mostRules);
      if (!room) throw tooMany('discounts');
      await refresh();
      return { ...added, withdrawn_by: null, withdrawn_at: null };
    },

    overrides: (principal: Principal, filter: RuleFilter, page: PageAsked) =>
      store.overrides(scopeOf(principal), filter, page),
    discounts: (principal: Principal, filter: RuleFilter, page: PageAsked) =>
      store.discounts(scopeOf(principal), filter, page),

    /** It no longer holds, not for the past either; the row stays, and rows of the ledger keep their price. */
    async withdrawOverride(principal: Principal, id: string): Promise<void> {
      const had = await store.withdrawOverride(scopeOf(principal), id, principal.keyId, clock.now());
      if (!had) throw notFound('price');
      await refresh();
    },
    async withdrawDiscount(principal: Principal, id: string): Promise<void> {
      const had = await store.withdrawDiscount(scopeOf(principal), id, principal.keyId, clock.now());
      if (!had) throw notFound('discount');
      await refresh();
    },
  };

  function about(principal: Principal, given: { effectiveFrom: Date | null; reason: string | null }) {
    const now = clock.now();
    return {
      id: deps.newId(),
      tenant_id: ownerOf(principal),
      effective_from: given.effectiveFrom ?? now,
      reason: given.reason,
      created_by: principal.keyId,
      created_at: now,
    };
  }
}

/** Whose prices a caller manages: null for the platform's, which is an owner's who named no tenant. */
function ownerOf(principal: Principal): string | null {
  return principal.role === 'owner' && !principal.actsInNamedTenant ? null : principal.tenantId;
}

function scopeOf(principal: Principal): PriceScope {
  return ownerOf(principal) === null ? 'platform' : principal;
}

function tooMany(what: string): AppError {
  return new AppError(
    'conflict',
    `There are ${mostRules} ${what} already. Withdraw those that hold no more.`,
  );
}

/** @returns the rules of each tenant; null where the catalogue's prices hold as they are, which then costs nothing. */
function rulesByTenant(
  overrides: readonly PriceOverride[],
  discounts: readonly PriceDiscount[],
  catalogue: PriceCatalogue,
): (tenantId: string) => PriceRules | null {
  const overridesOf = Map.groupBy(overrides, (rule) => rule.tenantId);
  const discountsOf = Map.groupBy(discounts, (rule) => rule.tenantId);
  const rulesFor = (...owners: readonly (string | null)[]) =>
    createPriceRules(
      {
        overrides: owners.flatMap((owner) => overridesOf.get(owner) ?? []),
        discounts: owners.flatMap((owner) => discountsOf.get(owner) ?? []),
      },
      catalogue,
    );
  const owners = new Set([...overridesOf.keys(), ...discountsOf.keys()]);
  const platform = owners.delete(null) ? rulesFor(null) : null;
  const own = new Map([...owners].map((tenantId) => [tenantId, rulesFor(null, tenantId)]));
  return (tenantId) => own.get(tenantId) ?? platform;
}

function overrideOf(row: OverrideRow): PriceOverride {
  const { id, provider, model, components } = row;
  return { ...datesOf(row), id, provider, model, components };
}

function discountOf(row: DiscountRow): PriceDiscount {
  const { id, provider, model, percent } = row;
  return { ...datesOf(row), id, provider, model, percent, effectiveTo: row.effective_to };
}

function datesOf(row: OverrideRow | DiscountRow) {
  return { tenantId: row.tenant_id, effectiveFrom: row.effective_from, createdAt: row.created_at };
}
