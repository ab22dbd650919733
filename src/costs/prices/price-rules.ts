import { type CataloguePrices, createPrice, type Discount, type Price } from '../price.ts';
import type { PriceCatalogue, PricedTarget } from '../price-catalogue.ts';

interface Dated {
  readonly id: string;
  /** Null: the platform's, for every tenant. */
  readonly tenantId: string | null;
  readonly effectiveFrom: Date;
  readonly createdAt: Date;
}

/** A price that holds instead of the catalogue's, from a time on. */
export interface PriceOverride extends Dated {
  readonly provider: string;
  /** A model's name, or the beginning of names and a `*`. */
  readonly model: string;
  readonly components: CataloguePrices;
}

/** What is taken off whichever price holds, from a time on and perhaps up to one. */
export interface PriceDiscount extends Dated {
  /** Null: every provider's every model. */
  readonly provider: string | null;
  /** Null: every model. Else as in an override. */
  readonly model: string | null;
  readonly percent: string;
  /** Not included; null: for good. */
  readonly effectiveTo: Date | null;
}

/** The price of a call, and how it came about. */
export interface PriceInForce {
  readonly price: Price;
  /** Null: the price is the catalogue's. */
  readonly override: PriceOverride | null;
  readonly discount: PriceDiscount | null;
}

/** What holds for one tenant. */
export interface PriceRules {
  inForce(target: PricedTarget, at: Date): PriceInForce | null;
}

/** What of a tenant's rules is about one target, in the order in which they win. */
interface Matching {
  readonly overrides: readonly PriceOverride[];
  readonly discounts: readonly PriceDiscount[];
}

/**
 * One tenant's rules and the platform's together. A tenant's own wins over the platform's, then what names the model over
 * what names the beginning of names (a longer one over a shorter), over what names the provider only, over what names
 * nothing; then what took effect last, and of those the one that was written last. Of discounts one applies, they do not
 * add up, and it is taken off whichever price holds.
 * @param catalogue what holds where no override does.
 */
export function createPriceRules(
  rules: { readonly overrides: readonly PriceOverride[]; readonly discounts: readonly PriceDiscount[] },
  catalogue: PriceCatalogue,
): PriceRules {
  const overrides = [...rules.overrides].sort(strongerFirst);
  const discounts = [...rules.discounts].sort(strongerFirst);
  // A route's targets are the same objects call after call, so matching is done once for each.
  const matchingOf = new WeakMap<PricedTarget, Matching>();
  // As many as there are rules and catalogue prices that they meet; they live as long as this snapshot.
  const made = new Map<string, Price>();

  const matching = (target: PricedTarget): Matching => {
    const known = matchingOf.get(target);
    if (known) return known;
    const found = {
      overrides: overrides.filter((rule) => isAbout(rule, target)),
      discounts: discounts.filter((rule) => isAbout(rule, target)),
    };
    matchingOf.set(target, found);
    return found;
  };
  const once = (key: string, make: () => Price): Price => {
    const known = made.get(key);
    if (known) return known;
    const price = make();
    made.set(key, price);
    return price;
  };

  return {
    inForce(target, at) {
      const found = matching(target);
      const override = found.overrides.find((rule) => rule.effectiveFrom <= at) ?? null;
      const discount = found.discounts.find((rule) => isOn(rule, at)) ?? null;
      const listed =
        override === null
          ? catalogue.priceOf(target, at)
          : once(override.id, () => priceOfOverride(override));
      if (listed === null || discount === null) return listed && { price: listed, override, discount };
      const off: Discount = { id: discount.id, percent: discount.percent };
      return { price: once(`${listed.id} ${discount.id}`, () => listed.less(off)), override, discount };
    },
  };
}

/** The override is the version: it is never changed, so its price can be recomputed whatever holds later. */
function priceOfOverride(override: PriceOverride): Price {
  const identity = {
    version: `override-${override.id}`,
    provider: override.provider,
    model: override.model,
    index: 0,
    applies: { start_date: override.effectiveFrom.toISOString() },
  };
  return createPrice(identity, override.components);
}

function isOn(rule: PriceDiscount, at: Date): boolean {
  return rule.effectiveFrom <= at && (rule.effectiveTo === null || at < rule.effectiveTo);
}

type Rule = PriceOverride | PriceDiscount;

function isAbout({ provider, model }: Rule, target: PricedTarget): boolean {
  if (provider === null) return true;
  return provider === target.provider.name && (model === null || namesModel(model, target.model));
}

/** Whether a model goes by that name, or by that beginning of names. */
function namesModel(pattern: string, model: string): boolean {
  return pattern.endsWith('*') ? model.startsWith(pattern.slice(0, -1)) : model === pattern;
}

function strongerFirst(a: Rule, b: Rule): number {
  return (
    Number(b.tenantId !== null) - Number(a.tenantId !== null) ||
    precision(b) - precision(a) ||
    b.effectiveFrom.getTime() - a.effectiveFrom.getTime() ||
    b.createdAt.getTime() - a.createdAt.getTime() ||
    (b.id > a.id ? 1 : -1)
  );
}

/** Longer than any model's name. */
const exactly = 1_000;

function precision({ provider, model }: Rule): number {
  if (provider === null) return -1;
  if (model === null) return 0;
  return model.endsWith('*') ? model.length : exactly;
}
