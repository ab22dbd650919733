import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noUsage } from '../../costs/index.ts';
import { mergeAnthropicUsage, readAnthropicUsage } from './anthropic-usage.ts';

describe('usage as Anthropic sends it', () => {
  it('adds what the cache gave and took to the input, by lifetime', () => {
    expect(
      readAnthropicUsage({
        input_tokens: 10,
        cache_creation_input_tokens: 300,
        cache_read_input_tokens: 4_000,
        cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 200 },
        output_tokens: 50,
        output_tokens_details: { thinking_tokens: 20 },
        service_tier: 'standard',
      }),
    ).toEqual({
      ...noUsage,
      inputTokens: 4_310,
      cachedReadTokens: 4_000,
      cacheWrite5mTokens: 100,
      cacheWrite1hTokens: 200,
      outputTokens: 50,
      reasoningTokens: 20,
    });
  });

  it('takes writes without a lifetime for short ones', () => {
    const usage = { input_tokens: 1, cache_creation_input_tokens: 7, cache_creation: null, output_tokens: 1 };
    expect(readAnthropicUsage(usage)).toMatchObject({
      inputTokens: 8,
      cacheWrite5mTokens: 7,
      cacheWrite1hTokens: 0,
    });
  });

  it('nests its classes whatever comes', () => {
    const number = fc.oneof(fc.nat(), fc.constant(null), fc.constant(-1), fc.double(), fc.string());
    const given = fc.record({
      input_tokens: number,
      cache_creation_input_tokens: number,
      cache_read_input_tokens: number,
      cache_creation: fc.record({ ephemeral_5m_input_tokens: number, ephemeral_1h_input_tokens: number }),
      output_tokens: number,
      output_tokens_details: fc.record({ thinking_tokens: number }),
    });
    fc.assert(
      fc.property(given, (usage) => {
        const read = readAnthropicUsage(usage);
        if (read === null) return;
        const { cachedReadTokens, cacheWrite5mTokens, cacheWrite1hTokens } = read;
        expect(cachedReadTokens + cacheWrite5mTokens + cacheWrite1hTokens).toBeLessThanOrEqual(
          read.inputTokens,
        );
        expect(read.reasoningTokens).toBeLessThanOrEqual(read.outputTokens);
        expect(Object.values(read).every((tokens) => Number.isInteger(tokens) && tokens >= 0)).toBe(true);
      }),
    );
  });

  it('has none without a count of the input', () => {
    for (const given of [null, undefined, 'usage', [], {}, { input_tokens: -1 }, { input_tokens: 1.5 }]) {
      expect(readAnthropicUsage(given)).toBeNull();
    }
  });

  it('of a stream is the last count of each kind', () => {
    const start = {
      input_tokens: 10,
      output_tokens: 1,
      cache_read_input_tokens: 5,
      cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 9 },
    };
    const delta = { output_tokens: 42, input_tokens: null, cache_read_input_tokens: 5 };
    expect(mergeAnthropicUsage(mergeAnthropicUsage(null, start), delta)).toEqual({
      ...start,
      output_tokens: 42,
    });
  });
});
