import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../platform/errors.ts';
import { createEmbedTexts } from './embed-texts.ts';
import { type Embed, type EmbeddingUse, embeddingModelFrom } from './model-calls.ts';

/** Gives each text a vector of its length, and notes what it was asked. */
function lengths(dimensions = 2) {
  const asked: (readonly string[])[] = [];
  const embed: Embed = async (_caller, { inputs }) => {
    asked.push(inputs);
    const vectors = inputs.map((text) => new Float32Array(dimensions).fill(text.length));
    return { vectors, usage: { inputTokens: 1 }, costNanoUsd: 0n };
  };
  return { asked, embed };
}

const use = (tenantId = 'tenant', identity = 'model'): EmbeddingUse =>
  ({ name: 'embeddings', identity, caller: { principal: { tenantId } } }) as unknown as EmbeddingUse;

describe('embedding texts', () => {
  it('gives each text its vector, in order, whatever repeats and whatever is known already', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.string({ maxLength: 5 }), { maxLength: 150 }), { maxLength: 4 }),
        async (rounds) => {
          const { embed, asked } = lengths();
          const embedTexts = createEmbedTexts(embed);
          for (const texts of rounds) {
            const vectors = await embedTexts(use(), texts);
            expect(vectors.map((vector) => vector[0])).toEqual(texts.map(({ length }) => length));
          }
          const all = asked.flat();
          expect(new Set(all).size).toBe(all.length);
          for (const batch of asked) expect(batch.length).toBeLessThanOrEqual(64);
        },
      ),
    );
  });

  it('remembers for one tenant and one model only, and not without bound', async () => {
    const { embed, asked } = lengths();
    const embedTexts = createEmbedTexts(embed);
    for (const one of [use(), use(), use('other tenant'), use('tenant', 'other model')])
      await embedTexts(one, ['text']);
    expect(asked).toHaveLength(3);

    const large = lengths(2_000_000);
    const embedLarge = createEmbedTexts(large.embed);
    for (const text of ['first', 'second', 'first']) await embedLarge(use(), [text]);
    expect(large.asked).toHaveLength(3);
  });

  it('refuses vectors that are missing or of different lengths', async () => {
    const wrong =
      (vectors: Float32Array[]): Embed =>
      async () => ({ vectors, usage: { inputTokens: 1 }, costNanoUsd: 0n });
    for (const vectors of [[], [Float32Array.of(1)], [Float32Array.of(1), new Float32Array()]]) {
      await expect(createEmbedTexts(wrong(vectors))(use(), ['a', 'b'])).rejects.toMatchObject({
        code: 'upstream_failed',
      });
    }
    const uneven = wrong([Float32Array.of(1), Float32Array.of(1, 2)]);
    await expect(createEmbedTexts(uneven)(use(), ['a', 'b'])).rejects.toMatchObject({
      code: 'upstream_failed',
    });
  });
});

describe('the embedding model of a route', () => {
  const target = (provider: string, model: string) => ({ provider, model });

  it('is the route while it leads to one model, else its first target alone', () => {
    expect(embeddingModelFrom('embeddings', () => [target('a', 'm'), target('b', 'm')])).toEqual({
      name: 'embeddings',
      identity: 'm',
    });
    expect(embeddingModelFrom('embeddings', () => [target('a', 'm'), target('b', 'n')])).toEqual({
      name: 'a/m',
      identity: 'm',
    });
  });

  it('is none without a route, or when it leads nowhere', () => {
    expect(embeddingModelFrom(null, () => [target('a', 'm')])).toBeNull();
    expect(embeddingModelFrom('embeddings', () => [])).toBeNull();
    const leadsNowhere = () => {
      throw new AppError('no_model_configured', 'gone');
    };
    expect(embeddingModelFrom('embeddings', leadsNowhere)).toBeNull();
  });
});
