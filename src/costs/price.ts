import { decimalOf, scaled } from './money.ts';
import type { TokenUsage } from './usage.ts';

/** US dollars per unit: a number as the catalogue writes it, or plain decimal digits. */
type Dollars = number | string;

/** A price as the catalogue states it: flat, or with steps by the size of the whole prompt. US dollars per unit. */
export type CataloguePrice =
  | Dollars
  | {
      readonly base: Dollars;
      readonly tiers: readonly { readonly start: number; readonly price: Dollars }[];
    };

/** The catalogue's prices of one model by its own names (`input_mtok`, …). */
export type CataloguePrices = Readonly<Record<string, CataloguePrice | undefined>>;

/** What a call's tokens cost, exactly. */
export interface Price {
  /** Names this very price for good: `<version>:<provider>:<model>:<which of its dated prices>`. */
  readonly id: string;
  readonly version: string;
  /** The price as a JSON object for the dated price table; made once, because every ledger row carries it. */
  readonly json: string;
  /**
   * @returns nano-dollars, rounded half up once; null when a class of tokens that was used has no price.
   */
  costOf(usage: TokenUsage): bigint | null;
  /** @returns the same price with something taken off, under a name of its own. */
  less(discount: Discount): Price;
}

/**
 * Prices are counted in atto-dollars (10^-18) per token, so a price in dollars per million tokens keeps twelve decimal
 * places. That is exact for every price a provider publishes, and drops the noise of catalogue entries that were
 * themselves computed in floating point (0.18000000000000002).
 */
interface StepPrice {
  readonly base: bigint;
  readonly steps: readonly { readonly above: number; readonly price: bigint }[];
}

const attoPerNano = 1_000_000_000n;
const placesPerMillion = 12;
const placesPerThousand = 15;

export interface PriceIdentity {
  readonly version: string;
  readonly provider: string;
  readonly model: string;
  /** Position among the model's dated prices. */
  readonly index: number;
  /** When this one applies, as the catalogue says it; null for always. */
  readonly applies: unknown;
}

/** What is taken off a price. */
export interface Discount {
  readonly id: string;
  /** Per cent as a decimal with at most four places, above 0 and at most 100. */
  readonly percent: string;
}

const percentPlaces = 4;
/** 100 % in units of the last of those places. */
const wholeDiscount = 1_000_000n;

/**
 * Rules, as the catalogue's own calculation has them: a class without a price of its own is charged as the class it is
 * part of; a step applies to all tokens of a call whose whole input is above its start. A discount is taken off the exact
 * sum, before the one rounding.
 * @throws RangeError on a price that is negative or not finite, or a discount above 100 %.
 */
export function createPrice(
  identity: PriceIdentity,
  prices: CataloguePrices,
  discount: Discount | null = null,
): Price {
  const perToken = (key: string) => stepPrice(prices[`${key}_mtok`], placesPerMillion);
  const input = perToken('input');
  const cachedRead = perToken('cache_read') ?? input;
  const cacheWrite = perToken('cache_write') ?? input;
  const cacheWrite1h = perToken('cache_write_1h') ?? cacheWrite;
  const inputAudio = perToken('input_audio') ?? input;
  const inputImage = perToken('input_image') ?? input;
  const cachedAudio = perToken('cache_audio_read') ?? cachedRead;
  const cachedImage = perToken('cache_image_read') ?? cachedRead;
  const output = perToken('output');
  const reasoning = perToken('output_reasoning') ?? output;
  const outputAudio = perToken('output_audio') ?? output;
  const outputImage = perToken('output_image') ?? output;
  const request = stepPrice(prices.requests_kcount, placesPerThousand);

  const { version, provider, model, index, applies } = identity;
  const listed = `${version}:${provider}:${model}:${index}`;
  const id = discount === null ? listed : `${listed}:discount-${discount.id}`;
  const toNano = discount === null ? roundedToNano : discounted(discount);
  return {
    id,
    version,
    json: JSON.stringify({
      id,
      version,
      provider,
      model,
      applies,
      components: components(prices),
      ...(discount === null ? {} : { discount }),
    }),
    less: (further) => createPrice(identity, prices, further),
    costOf(usage) {
      const size = usage.inputTokens;
      if (isPlain(usage) && input && output) {
        const atto = BigInt(size) * at(input, size) + BigInt(usage.outputTokens) * at(output, size);
        return toNano(request === undefined ? atto : atto + at(request, size));
      }
      const i = splitInput(usage);
      const o = splitOutput(usage);
      let atto = request === undefined ? 0n : at(request, size);
      const classes: readonly [number, StepPrice | undefined][] = [
        [i.plain, input],
        [i.cachedRead, cachedRead],
        [i.cacheWrite5m, cacheWrite],
        [i.cacheWrite1h, cacheWrite1h],
        [i.audio, inputAudio],
        [i.image, inputImage],
        [i.cachedAudio, cachedAudio],
        [i.cachedImage, cachedImage],
        [o.plain, output],
        [o.reasoning, reasoning],
        [o.audio, outputAudio],
        [o.image, outputImage],
      ];
      for (const [tokens, price] of classes) {
        if (tokens === 0) continue;
        if (price === undefined) return null;
        atto += BigInt(tokens) * at(price, size);
      }
      return toNano(atto);
    },
  };
}

function roundedToNano(atto: bigint): bigint {
  return (atto + attoPerNano / 2n) / attoPerNano;
}

function discounted({ percent }: Discount): (atto: bigint) => bigint {
  const kept = wholeDiscount - scaled(percent, percentPlaces);
  if (kept < 0n) throw new RangeError(`a discount of ${percent} % is more than the price`);
  const divisor = attoPerNano * wholeDiscount;
  return (atto) => (atto * kept + divisor / 2n) / divisor;
}

/** Most calls have only plain tokens, and are charged without taking the classes apart. */
function isPlain(usage: TokenUsage): boolean {
  return (
    usage.cachedReadTokens === 0 &&
    usage.cacheWrite5mTokens === 0 &&
    usage.cacheWrite1hTokens === 0 &&
    usage.inputAudioTokens === 0 &&
    usage.inputImageTokens === 0 &&
    usage.reasoningTokens === 0 &&
    usage.outputAudioTokens === 0 &&
    usage.outputImageTokens === 0
  );
}

function at(price: StepPrice, inputTokens: number): bigint {
  let current = price.base;
  for (const step of price.steps) if (inputTokens > step.above) current = step.price;
  return current;
}

/**
 * Takes the classes apart so that each token is counted once. Providers tell how many tokens were cached and how many
 * were audio or images, but not how many were both: where the numbers only add up that way, the surplus is both.
 */
function splitInput(usage: TokenUsage) {
  const cacheWrite5m = usage.cacheWrite5mTokens;
  const cacheWrite1h = usage.cacheWrite1hTokens;
  let { inputAudioTokens: audio, inputImageTokens: image, cachedReadTokens: cachedRead } = usage;
  let both = audio + image + cachedRead + cacheWrite5m + cacheWrite1h - usage.inputTokens;
  if (both <= 0) {
    return {
      plain: -both,
      cachedRead,
      cacheWrite5m,
      cacheWrite1h,
      audio,
      image,
      cachedAudio: 0,
      cachedImage: 0,
    };
  }
  const cachedAudio = Math.min(both, audio, cachedRead);
  audio -= cachedAudio;
  cachedRead -= cachedAudio;
  both -= cachedAudio;
  const cachedImage = Math.min(both, image, cachedRead);
  image -= cachedImage;
  cachedRead -= cachedImage;
  return { plain: 0, cachedRead, cacheWrite5m, cacheWrite1h, audio, image, cachedAudio, cachedImage };
}

function splitOutput(usage: TokenUsage) {
  const audio = Math.min(usage.outputAudioTokens, usage.outputTokens);
  const image = Math.min(usage.outputImageTokens, usage.outputTokens - audio);
  const reasoning = Math.min(usage.reasoningTokens, usage.outputTokens - audio - image);
  return { plain: usage.outputTokens - audio - image - reasoning, audio, image, reasoning };
}

function stepPrice(price: CataloguePrice | undefined, places: number): StepPrice | undefined {
  if (price === undefined) return undefined;
  const exact = (value: Dollars) => scaled(decimalOf(value), places);
  if (typeof price !== 'object') return { base: exact(price), steps: [] };
  const steps = price.tiers.map((tier) => ({ above: tier.start, price: exact(tier.price) }));
  return { base: exact(price.base), steps: steps.sort((a, b) => a.above - b.above) };
}

/** The stated prices with every number as the decimal string it was written as. */
function components(prices: CataloguePrices) {
  const shown = Object.entries(prices).flatMap(([name, price]) => {
    if (price === undefined) return [];
    if (typeof price !== 'object') return [[name, decimalOf(price)]];
    const tiers = price.tiers.map((tier) => ({ start: tier.start, price: decimalOf(tier.price) }));
    return [[name, { base: decimalOf(price.base), tiers }]];
  });
  return Object.fromEntries(shown);
}
