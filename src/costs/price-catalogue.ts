import { readFileSync } from 'node:fs';
import { calcPrice, findProvider, type ModelInfo, type Provider } from '@pydantic/genai-prices';
import { createBoundedCache } from '../platform/bounded-cache.ts';
import { type CataloguePrices, createPrice, type Price } from './price.ts';

/** Where a call went, as far as its price depends on it; an object is never given another content. */
export interface PricedTarget {
  /** The provider's name here, and its base URL. */
  readonly provider: { readonly name: string; readonly baseUrl: string };
  readonly model: string;
}

export interface PriceCatalogue {
  /** Names the catalogue that prices come from, such as `genai-prices-0.1.8`. */
  readonly version: string;
  /**
   * @param tenantId whose prices count; left out: everybody's.
   * @returns the price in force at that time, or null when the model has none: such a call is `unpriced`.
   */
  priceOf(target: PricedTarget, at: Date, tenantId?: string): Price | null;
}

interface DatedPrice {
  readonly price: Price;
  readonly applies: ModelPrices[number]['constraint'];
}
type ModelPrices = Exclude<ModelInfo['prices'], CataloguePrices>;

/**
 * Whose models are looked through, in this order, when neither address nor name tells the provider. Makers only:
 * what a reseller asks for a model says nothing about a server at an address of its own.
 */
const makers = ['openai', 'anthropic', 'google', 'mistral', 'deepseek', 'cohere', 'voyageai', 'x-ai'];
/** A local server's models cost no money per token; the makers' prices for the same names would be wrong. */
const localServers = new Set(['ollama']);
/** Matching a model costs about 50 µs, so matches are kept: this many, for names that callers can make up. */
const maxMatches = 5_000;

/** Prices of `@pydantic/genai-prices`, used for its data and its matching of names; the arithmetic is our own. */
export function createPriceCatalogue(): PriceCatalogue {
  const version = `genai-prices-${installedVersion()}`;
  const matches = createBoundedCache<string, readonly DatedPrice[] | null>(maxMatches);
  // A route's targets are the same objects call after call; then not even a key has to be put together.
  const matchesOfTargets = new WeakMap<PricedTarget, readonly DatedPrice[] | null>();

  const match = (target: PricedTarget): readonly DatedPrice[] | null => {
    const key = `${target.provider.name} ${target.provider.baseUrl} ${target.model}`;
    const known = matches.get(key);
    if (known !== undefined) return known;
    const found = findModel(target);
    const dated = found && datedPrices(version, found.provider, found.model);
    matches.set(key, dated);
    return dated;
  };

  return {
    version,
    priceOf(target, at) {
      let dated = matchesOfTargets.get(target);
      if (dated === undefined) {
        dated = match(target);
        matchesOfTargets.set(target, dated);
      }
      if (dated === null) return null;
      const [only] = dated;
      return only && dated.length === 1 ? only.price : inForce(dated, at);
    },
  };
}

/**
 * The provider is told by its address; else by a name that equals the catalogue's; else the model's maker is looked
 * for by the model's name. So a server of one's own that serves `gpt-4o-mini` is priced as OpenAI's.
 */
function findModel(target: PricedTarget): { provider: Provider; model: ModelInfo } | null {
  const { name, baseUrl } = target.provider;
  if (localServers.has(name)) return null;
  const byAddress = findProvider({ providerApiUrl: baseUrl });
  if (byAddress) return lookUp(target.model, byAddress.id);
  if (findProvider({ providerId: name })?.id === name) {
    const byName = lookUp(target.model, name);
    if (byName) return byName;
  }
  const maker = findProvider({ modelId: target.model.toLowerCase().trim() });
  for (const id of maker ? [maker.id, ...makers] : makers) {
    const found = lookUp(target.model, id);
    if (found) return found;
  }
  return null;
}

function lookUp(model: string, providerId: string): { provider: Provider; model: ModelInfo } | null {
  try {
    return calcPrice({}, model, { providerId });
  } catch {
    // The catalogue throws on a price it cannot make sense of; then there is none.
    return null;
  }
}

function datedPrices(version: string, provider: Provider, model: ModelInfo): DatedPrice[] | null {
  const prices = Array.isArray(model.prices) ? model.prices : [{ prices: model.prices }];
  try {
    return prices.map((dated, index) => ({
      applies: dated.constraint,
      price: createPrice(
        { version, provider: provider.id, model: model.id, index, applies: dated.constraint ?? null },
        dated.prices,
      ),
    }));
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** The last one that applies wins, and the first when none does: the catalogue's own rule. */
function inForce(dated: readonly DatedPrice[], at: Date): Price | null {
  for (let index = dated.length - 1; index >= 0; index--) {
    const candidate = dated[index];
    if (candidate && applies(candidate.applies, at)) return candidate.price;
  }
  return dated[0]?.price ?? null;
}

function applies(constraint: DatedPrice['applies'], at: Date): boolean {
  if (constraint === undefined) return true;
  if (constraint.type === 'start_date') return at >= new Date(constraint.start_date);
  const now = secondsOfDay(at.toISOString().slice(11));
  const start = secondsOfDay(constraint.start_time);
  const end = secondsOfDay(constraint.end_time);
  return end < start ? now >= start || now < end : now >= start && now < end;
}

/** @param time `hh:mm:ss` with an optional fraction, in UTC (`Z`) or with an offset (`+02:00`). */
function secondsOfDay(time: string): number {
  const [, hours, minutes, seconds, sign, offsetHours, offsetMinutes] =
    /^(\d\d):(\d\d):(\d\d(?:\.\d+)?)(?:Z|([+-])(\d\d):(\d\d))?$/.exec(time) ?? [];
  const offset = (Number(offsetHours ?? 0) * 60 + Number(offsetMinutes ?? 0)) * 60 * (sign === '-' ? -1 : 1);
  const local = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return (((local - offset) % 86_400) + 86_400) % 86_400;
}

function installedVersion(): string {
  const manifest = new URL('../package.json', import.meta.resolve('@pydantic/genai-prices'));
  return String((JSON.parse(readFileSync(manifest, 'utf8')) as { version?: string }).version);
}
