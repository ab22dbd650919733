import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noUsage, type TokenUsage } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import { addUsage } from './add-usage.ts';
import { anthropicUsage } from './anthropic-usage.ts';
import { bedrockUsage, readBedrockUsage } from './bedrock-usage.ts';
import { bedrockEmbeddingUsage, geminiEmbeddingUsage } from './embedding-usage.ts';
import { geminiUsage, readGeminiUsage } from './gemini-usage.ts';
import { openAiUsage, readOpenAiUsage } from './openai-usage.ts';

/** What a provider sent, and the classes it comes to. */
const told: readonly (readonly [string, TokenUsage | null, Partial<TokenUsage>])[] = [
  [
    'Gemini: thoughts are beside the candidates, results of tools beside the prompt',
    readGeminiUsage({
      promptTokenCount: 1_000,
      cachedContentTokenCount: 600,
      candidatesTokenCount: 50,
      thoughtsTokenCount: 200,
      toolUsePromptTokenCount: 30,
      totalTokenCount: 1_280,
      promptTokensDetails: [
        { modality: 'TEXT', tokenCount: 642 },
        { modality: 'IMAGE', tokenCount: 258 },
        { modality: 'AUDIO', tokenCount: 100 },
      ],
      candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 40 }],
    }),
    {
      inputTokens: 1_030,
      cachedReadTokens: 600,
      inputImageTokens: 258,
      inputAudioTokens: 100,
      outputTokens: 250,
      reasoningTokens: 200,
      outputImageTokens: 40,
    },
  ],
  [
    'Bedrock: the cache is beside the input, writes by lifetime',
    readBedrockUsage({
      inputTokens: 10,
      outputTokens: 20,
      totalTokens: 630,
      cacheReadInputTokens: 300,
      cacheWriteInputTokens: 300,
      cacheDetails: [
        { ttl: '1h', inputTokens: 200 },
        { ttl: '5m', inputTokens: 100 },
      ],
    }),
    {
      inputTokens: 610,
      cachedReadTokens: 300,
      cacheWrite5mTokens: 100,
      cacheWrite1hTokens: 200,
      outputTokens: 20,
    },
  ],
  [
    'OpenAI chat: parts of the prompt and of the completion',
    readOpenAiUsage({
      prompt_tokens: 100,
      completion_tokens: 50,
      prompt_tokens_details: { cached_tokens: 40, audio_tokens: 10 },
      completion_tokens_details: { reasoning_tokens: 30, audio_tokens: 5 },
    }),
    {
      inputTokens: 100,
      cachedReadTokens: 40,
      inputAudioTokens: 10,
      outputTokens: 50,
      reasoningTokens: 30,
      outputAudioTokens: 5,
    },
  ],
  [
    'OpenAI responses: the same by other names',
    readOpenAiUsage({
      input_tokens: 100,
      output_tokens: 50,
      input_tokens_details: { cached_tokens: 40 },
      output_tokens_details: { reasoning_tokens: 30 },
    }),
    { inputTokens: 100, cachedReadTokens: 40, outputTokens: 50, reasoningTokens: 30 },
  ],
  [
    'DeepSeek: hits of its cache',
    readOpenAiUsage({
      prompt_tokens: 100,
      completion_tokens: 5,
      prompt_cache_hit_tokens: 64,
      prompt_cache_miss_tokens: 36,
    }),
    { inputTokens: 100, cachedReadTokens: 64, outputTokens: 5 },
  ],
  [
    "Ollama's own API",
    readOpenAiUsage({ prompt_eval_count: 26, eval_count: 290, total_duration: 5e9 }),
    { inputTokens: 26, outputTokens: 290 },
  ],
  ['embeddings', readOpenAiUsage({ prompt_tokens: 8, total_tokens: 8 }), { inputTokens: 8 }],
  [
    'Titan embeddings',
    bedrockEmbeddingUsage.read(bedrockEmbeddingUsage.inReply({ usage: { tokens: 7 } }) ?? {}),
    { inputTokens: 7 },
  ],
];

describe('usage in the words of each provider', () => {
  it.each(told)('%s', (_name, usage, expected) => {
    expect(usage).toEqual({ ...noUsage, ...expected });
  });

  it('is none where there is no count of the input', () => {
    const readers = [geminiUsage, bedrockUsage, openAiUsage, anthropicUsage, bedrockEmbeddingUsage];
    for (const { read, inReply } of readers) {
      expect(read({})).toBeNull();
      expect(
        read({ inputTokens: -1, promptTokenCount: 1.5, prompt_tokens: '7', input_tokens: null }),
      ).toBeNull();
      expect(inReply('no object')).toBeNull();
    }
    expect(bedrockEmbeddingUsage.inReply({ usage: { tokens: Number.NaN } })).toBeNull();
    expect(geminiEmbeddingUsage.inReply({ response: { body: { embeddings: [] } } })).toBeNull();
  });

  it('of a stream is the last that was told', () => {
    const gemini = [
      { usageMetadata: { promptTokenCount: 1 } },
      {},
      { usageMetadata: { promptTokenCount: 2 } },
    ];
    expect(
      gemini.reduce<JsonObject | null>((before, chunk) => geminiUsage.inChunk(chunk, before), null),
    ).toEqual({
      promptTokenCount: 2,
    });
    const usage = { inputTokens: 3, outputTokens: 4 };
    expect(bedrockUsage.inChunk({ metadata: { usage } }, null)).toEqual(usage);
    expect(bedrockUsage.inChunk({ contentBlockStop: {} }, usage)).toBe(usage);
    expect(openAiUsage.inChunk({ choices: [], usage: { prompt_tokens: 1 } }, null)).toEqual({
      prompt_tokens: 1,
    });
    expect(openAiUsage.inChunk({ usage: null }, usage)).toBe(usage);
  });

  it('nests its classes whatever comes', () => {
    const number = fc.oneof(fc.nat(), fc.constant(undefined), fc.constant(-1), fc.double(), fc.string());
    const details = fc.array(
      fc.record({
        modality: fc.constantFrom('TEXT', 'IMAGE', 'AUDIO'),
        tokenCount: number,
        ttl: fc.constantFrom('5m', '1h'),
        inputTokens: number,
      }),
    );
    const keys = [
      ...['promptTokenCount', 'cachedContentTokenCount', 'candidatesTokenCount', 'thoughtsTokenCount'],
      ...['toolUsePromptTokenCount', 'inputTokens', 'outputTokens', 'cacheReadInputTokens'],
      ...['cacheWriteInputTokens', 'prompt_tokens', 'completion_tokens', 'prompt_cache_hit_tokens'],
    ];
    const members = Object.fromEntries(keys.map((key) => [key, number]));
    const given = fc.record({
      ...members,
      promptTokensDetails: details,
      candidatesTokensDetails: details,
      cacheDetails: details,
      prompt_tokens_details: fc.record({ cached_tokens: number, cache_creation_tokens: number }),
    });
    fc.assert(
      fc.property(given, (usage) => {
        for (const read of [readGeminiUsage, readBedrockUsage, readOpenAiUsage]) {
          const tokens = read(usage);
          if (tokens === null) continue;
          const { cachedReadTokens, cacheWrite5mTokens, cacheWrite1hTokens } = tokens;
          expect(cachedReadTokens + cacheWrite5mTokens + cacheWrite1hTokens).toBeLessThanOrEqual(
            tokens.inputTokens,
          );
          for (const part of [tokens.reasoningTokens, tokens.outputAudioTokens, tokens.outputImageTokens]) {
            expect(part).toBeLessThanOrEqual(tokens.outputTokens);
          }
          expect(Object.values(tokens).every((count) => Number.isInteger(count) && count >= 0)).toBe(true);
        }
      }),
    );
  });

  it('of several requests is added up', () => {
    const requests: JsonObject[] = [
      { inputTokens: 1, region: 'a' },
      { inputTokens: 2, other: 3 },
    ];
    expect(requests.reduce(addUsage)).toEqual({ inputTokens: 3, region: 'a', other: 3 });
  });
});
