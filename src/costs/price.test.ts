import { calcPrice, findProvider } from '@pydantic/genai-prices';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPrice } from './price.ts';
import { createPriceCatalogue } from './price-catalogue.ts';
import { noUsage, type TokenUsage } from './usage.ts';

const identity = { version: 'v', provider: 'p', model: 'm', index: 0, applies: null };
const noon = new Date('2026-11-20T12:00:00Z');
const at = (name: string, baseUrl: string, model: string) => ({ provider: { name, baseUrl }, model });

describe('a price', () => {
  it('charges cached tokens at the cached price and the rest at the input price, rounding once', () => {
    const price = createPrice(identity, { input_mtok: 0.15, cache_read_mtok: 0.075, output_mtok: 0.6 });
    const usage = {
      ...noUsage,
      inputTokens: 1000,
      cachedReadTokens: 200,
      outputTokens: 10,
      reasoningTokens: 4,
    };
    // 800 × 150 + 200 × 75 + 10 × 600 nano-dollars
    expect(price.costOf(usage)).toBe(141_000n);
    // 0.0005 nano-dollars a token: rounded once over the sum, not for each class.
    const tiny = createPrice(identity, { input_mtok: 0.0000005, output_mtok: 0.0000005 });
    expect(tiny.costOf({ ...noUsage, inputTokens: 500, outputTokens: 499 })).toBe(0n);
    expect(tiny.costOf({ ...noUsage, inputTokens: 500, outputTokens: 500 })).toBe(1n);
  });

  it('charges a class without a price of its own as the class it is part of', () => {
    const price = createPrice(identity, { input_mtok: 1, cache_write_mtok: 2, output_mtok: 3 });
    const usage = {
      ...noUsage,
      inputTokens: 100,
      cacheWrite1hTokens: 10,
      cachedReadTokens: 20,
      inputAudioTokens: 5,
    };
    expect(price.costOf(usage)).toBe(90_000n + 20_000n);
  });

  it('knows no cost when tokens were used that have no price', () => {
    const price = createPrice(identity, { input_mtok: 1 });
    expect(price.costOf({ ...noUsage, inputTokens: 1 })).toBe(1000n);
    expect(price.costOf({ ...noUsage, inputTokens: 1, outputTokens: 1 })).toBeNull();
  });

  it('takes a price of nothing as priced at nothing', () => {
    expect(
      createPrice(identity, { input_mtok: 0, output_mtok: 0 }).costOf({ ...noUsage, inputTokens: 9 }),
    ).toBe(0n);
  });

  it('applies a step to the whole call once its input is above the start', () => {
    const price = createPrice(identity, {
      input_mtok: { base: 1, tiers: [{ start: 100, price: 2 }] },
      output_mtok: 1,
    });
    expect(price.costOf({ ...noUsage, inputTokens: 100 })).toBe(100_000n);
    expect(price.costOf({ ...noUsage, inputTokens: 101 })).toBe(202_000n);
  });

  it('counts each token once when cached and audio tokens overlap', () => {
    const price = createPrice(identity, {
      input_mtok: 1,
      cache_read_mtok: 0.5,
      input_audio_mtok: 10,
      cache_audio_read_mtok: 3,
    });
    // 60 cached and 60 audio of 100: 20 must be both, so 40 cached text, 40 fresh audio, 20 cached audio.
    const usage = { ...noUsage, inputTokens: 100, cachedReadTokens: 60, inputAudioTokens: 60 };
    expect(price.costOf(usage)).toBe(20_000n + 400_000n + 60_000n);
  });

  it('refuses prices that are not', () => {
    expect(() => createPrice(identity, { input_mtok: Number.NaN })).toThrow(RangeError);
    expect(() => createPrice(identity, { input_mtok: -1 })).toThrow(RangeError);
  });

  it('carries its components as decimal strings', () => {
    const price = createPrice(identity, {
      input_mtok: 0.15,
      output_mtok: { base: 1, tiers: [{ start: 5, price: 2.5 }] },
    });
    expect(JSON.parse(price.json)).toEqual({
      id: 'v:p:m:0',
      version: 'v',
      provider: 'p',
      model: 'm',
      applies: null,
      components: { input_mtok: '0.15', output_mtok: { base: '1', tiers: [{ start: 5, price: '2.5' }] } },
    });
  });
});

describe('the catalogue', () => {
  const catalogue = createPriceCatalogue();
  const local = 'http://127.0.0.1:9100/v1';

  it('tells the provider by its address, by its name, or the maker by the model', () => {
    const by = (name: string, url: string, model: string) =>
      catalogue.priceOf(at(name, url, model), noon)?.id;
    const v = catalogue.version;
    expect(v).toMatch(/^genai-prices-\d+\.\d+\.\d+$/);
    expect(by('mine', 'https://api.openai.com/v1', 'gpt-4o-mini')).toBe(`${v}:openai:gpt-4o-mini:0`);
    expect(by('groq', local, 'llama-3.3-70b-versatile')).toBe(`${v}:groq:llama-3.3-70b-versatile:0`);
    expect(by('sim', local, 'gpt-4o-mini')).toBe(`${v}:openai:gpt-4o-mini:0`);
    expect(by('sim', local, 'text-embedding-3-small')).toBe(`${v}:openai:text-embedding-3-small:0`);
    expect(by('sim', local, 'claude-haiku-4-5')).toBe(`${v}:anthropic:claude-haiku-4-5:0`);
    expect(by('sim', local, 'no-such-model')).toBeUndefined();
    // A known address does not serve other makers' models, and a local server sells nothing.
    expect(by('mine', 'https://api.openai.com/v1', 'claude-haiku-4-5')).toBeUndefined();
    expect(by('ollama', 'http://127.0.0.1:11434/v1', 'mistral-nemo')).toBeUndefined();
  });

  it('takes the price of the hour where a provider has hours', () => {
    const target = at('deepseek', 'https://api.deepseek.com/v1', 'deepseek-v4-flash');
    const usage = { ...noUsage, inputTokens: 1_000_000 };
    for (const hour of ['00:59:59.999', '01:00:00', '03:59:59', '04:00:00', '06:30:00', '23:00:00']) {
      const time = new Date(`2026-11-20T${hour}Z`);
      const theirs = calcPrice({ input_tokens: 1_000_000 }, target.model, {
        providerId: 'deepseek',
        timestamp: time,
      });
      expect(catalogue.priceOf(target, time)?.costOf(usage)).toBe(
        BigInt(Math.round((theirs?.total_price ?? 0) * 1e9)),
      );
    }
  });

  it('agrees with the catalogue’s own arithmetic to its floating-point error, for every model of five makers', () => {
    const token = fc.integer({ min: 0, max: 400_000 });
    const calls = fc.record({
      plain: token,
      cached: token,
      output: token,
      reasoning: token,
      day: fc.integer({ min: 0, max: 900 }),
    });
    for (const id of ['openai', 'anthropic', 'google', 'mistral', 'deepseek']) {
      for (const model of findProvider({ providerId: id })?.models ?? []) {
        fc.assert(
          fc.property(calls, ({ plain, cached, output, reasoning, day }) => {
            const time = new Date(Date.UTC(2024, 6, 1) + day * 86_400_000);
            const usage: TokenUsage = {
              ...noUsage,
              inputTokens: plain + cached,
              cachedReadTokens: cached,
              outputTokens: output + reasoning,
              reasoningTokens: reasoning,
            };
            const ours = catalogue.priceOf(at(id, 'http://somewhere.test', model.id), time)?.costOf(usage);
            if (ours === null || ours === undefined) return;
            const theirs = calcPrice(
              {
                input_tokens: usage.inputTokens,
                cache_read_tokens: cached,
                output_tokens: usage.outputTokens,
                output_reasoning_tokens: reasoning,
              },
              model.id,
              { providerId: id, timestamp: time },
            );
            const nano = (theirs?.total_price ?? Number.NaN) * 1e9;
            expect(Math.abs(Number(ours) - nano)).toBeLessThanOrEqual(1 + nano * 1e-12);
          }),
          { numRuns: 10 },
        );
      }
    }
  });
});
