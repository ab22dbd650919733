import { describe, expect, it } from 'vitest';
import { createPrice } from '../price.ts';
import { noUsage } from '../usage.ts';
import {
  cheaperModels,
  merged,
  type PricedLine,
  type PricesById,
  promptsToCache,
} from './recommendations.ts';

const identity = { version: 'v', provider: 'sim', model: 'm', index: 0, applies: null };
const prices: PricesById = new Map([
  [
    'large',
    {
      price: createPrice(identity, { input_mtok: 3, cache_read_mtok: 0.3, output_mtok: 15 }),
      hasCachedRead: true,
    },
  ],
  ['small', { price: createPrice(identity, { input_mtok: 0.15, output_mtok: 0.6 }), hasCachedRead: false }],
  ['text', { price: createPrice(identity, { input_mtok: 0.02 }), hasCachedRead: false }],
]);
const line = (given: Partial<PricedLine> = {}): PricedLine => ({
  subject: 'support',
  operation: 'chat',
  provider: 'sim',
  model: 'large-model',
  priceId: 'large',
  calls: 1_000n,
  // 4 M × $3 + 0.4 M × $15
  costNanoUsd: 18_000_000_000n,
  usage: { ...noUsage, inputTokens: 4_000_000, outputTokens: 400_000 },
  otherTokens: 0n,
  ...given,
});
const small = line({
  subject: 'other',
  model: 'small-model',
  priceId: 'small',
  costNanoUsd: 1_000n,
  usage: { ...noUsage, inputTokens: 1 },
});

describe('a cheaper model', () => {
  it('is one that the tenant calls already, at the price it pays, with the arithmetic', () => {
    const [found, ...none] = cheaperModels([line(), small], prices, 60);
    expect(none).toEqual([]);
    // 4 M × $0.15 + 0.4 M × $0.60 = $0.84; (18 − 0.84) × 30 / 60
    expect(found).toMatchObject({
      kind: 'cheaper_model',
      subject: 'route:support',
      monthlySavingNanoUsd: 8_580_000_000n,
      arithmetic: {
        inputs: {
          cost_usd: '18.000000000',
          cost_at_other_usd: '0.840000000',
          other_model: 'small-model',
          days: 60,
        },
      },
    });
    expect(found?.text).toContain('quality');
  });

  it('does the same kind of work, has a price for it, and saves a dollar at least', () => {
    const embedding = { ...small, operation: 'embeddings', priceId: 'text' };
    expect(cheaperModels([line(), embedding], prices, 30)).toEqual([]);
    expect(cheaperModels([line(), { ...small, priceId: 'gone' }], prices, 30)).toEqual([]);
    expect(cheaperModels([line({ costNanoUsd: 1_500_000_000n }), small], prices, 30)).toEqual([]);
    expect(cheaperModels([line({ otherTokens: 1n }), small], prices, 30)).toEqual([]);
    expect(cheaperModels([line({ subject: null }), small], prices, 30)).toEqual([]);
  });
});

describe('a prompt worth caching', () => {
  it('is long, sent often and hardly cached; half of it is assumed to be the same, and said so', () => {
    const [found] = promptsToCache([line()], prices, 30);
    // 2 M × ($3 − $0.30)
    expect(found).toMatchObject({
      kind: 'cache_prompt',
      subject: 'prompt:support',
      monthlySavingNanoUsd: 5_400_000_000n,
      arithmetic: {
        inputs: { same_tokens: 2_000_000, average_input_tokens: 4_000, assumed_same_percent: 50 },
      },
    });
    expect(found?.arithmetic.assumptions[0]).toContain('50 %');
  });

  it('is not one that is short, rare, cached already, or whose provider does not cache', () => {
    const usage = { ...noUsage, inputTokens: 4_000_000, cachedReadTokens: 2_000_000 };
    for (const other of [
      line({ calls: 4_000n }),
      line({ calls: 99n }),
      line({ usage }),
      line({ priceId: 'small' }),
      line({ subject: null }),
    ]) {
      expect(promptsToCache([other], prices, 30)).toEqual([]);
    }
  });
});

describe('lines', () => {
  it('of one subject and model are one, whatever prices they were charged at', () => {
    const [both, ...none] = merged([line(), line({ priceId: 'later' }), small]);
    expect(none).toEqual([small]);
    expect(both).toMatchObject({
      calls: 2_000n,
      costNanoUsd: 36_000_000_000n,
      usage: { inputTokens: 8_000_000 },
    });
  });
});
