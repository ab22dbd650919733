import {
  type EmbeddingModelV4,
  type EmbeddingModelV4CallOptions,
  type EmbeddingModelV4Result,
  InvalidArgumentError,
} from '@ai-sdk/provider';
import type { EmbeddingTranslation } from '../translation/translation.ts';
import { addUsage } from '../usage/add-usage.ts';
import { providerWires } from './provider-wires.ts';
import { type Asked, factsOf, orRefusal, refusedFields } from './translated-call.ts';

/** Requests of one call that are under way at once. */
const atOnce = 4;

/**
 * Asks an embedding model through its provider package, in as many requests as the model needs for what OpenAI takes
 * in one. @throws as `askChat` does.
 */
export async function askEmbeddings(asked: Asked, translation: EmbeddingTranslation): Promise<void> {
  const { target, key, fetch, context, receiver } = asked;
  const { provider, model: modelName } = target;
  const wire = providerWires[provider.kind].embeddings;
  if (wire === null) {
    const message = `leads to a provider of kind ${provider.kind}, which offers no embeddings`;
    throw refusedFields(asked, [{ path: 'model', message }]);
  }
  const options = translation.readRequest(context.request);
  const model = wire.open({ provider, key, model: modelName, fetch: fetch.fetch });
  const results = await inBatches(model, wire.options(options, modelName), () => receiver.aborted).catch(
    (error: unknown) => {
      // The packages know which lengths of vectors a model has.
      if (!InvalidArgumentError.isInstance(error)) throw error;
      throw refusedFields(asked, [{ path: 'dimensions', message: 'is no length that the model has' }]);
    },
  );
  if (receiver.aborted) return;
  const embeddings = results.flatMap((result) => result.embeddings);
  if (embeddings.length !== options.values.length)
    throw new Error('the reply has not a vector for each text');
  const told = results.map((result) => wire.usage.inReply(result));
  const raw = told.every((usage) => usage !== null) ? told.reduce(addUsage) : null;
  const facts = factsOf(modelName, raw, wire.usage, () => 0);
  receiver.tellsFacts(() => facts);
  const tokens = facts.usage?.inputTokens;
  receiver.begin('application/json', results[0]?.response?.headers);
  const joined = { embeddings, warnings: [], ...(tokens === undefined ? {} : { usage: { tokens } }) };
  await receiver.write(translation.writeReply(joined, context));
}

/** @returns the results in the order of the values. */
async function inBatches(
  model: EmbeddingModelV4,
  options: EmbeddingModelV4CallOptions,
  isAborted: () => boolean,
): Promise<EmbeddingModelV4Result[]> {
  const size = Math.max(1, (await model.maxEmbeddingsPerCall) ?? options.values.length);
  const batches: string[][] = [];
  for (let at = 0; at < options.values.length; at += size) batches.push(options.values.slice(at, at + size));
  const results: EmbeddingModelV4Result[] = [];
  let next = 0;
  const work = async () => {
    for (let at = next++; at < batches.length && !isAborted(); at = next++) {
      results[at] = await orRefusal(model.doEmbed({ ...options, values: batches[at] ?? [] }));
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, batches.length) }, work));
  return results;
}
