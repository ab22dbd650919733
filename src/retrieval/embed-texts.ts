import { createHash } from 'node:crypto';
import { AppError } from '../platform/errors.ts';
import type { Embed, EmbeddingUse } from './model-calls.ts';

/** Vectors of many texts, in their order. @throws AppError as the gateway does, or when the vectors do not match. */
export type EmbedTexts = (use: EmbeddingUse, texts: readonly string[]) => Promise<Float32Array[]>;

/** Inputs of one call: what every provider takes. */
const maxInputs = 64;
/** What is remembered: an edited document is mostly the same text as before. */
const maxRememberedBytes = 8 * 1024 * 1024;

/** Embeds in batches, and remembers by tenant, model and content what it embedded last. */
export function createEmbedTexts(embed: Embed): EmbedTexts {
  const known = new Map<string, Float32Array>();
  let knownBytes = 0;

  const remember = (key: string, vector: Float32Array) => {
    if (known.has(key)) return;
    known.set(key, vector);
    knownBytes += vector.byteLength;
    for (const [oldest, { byteLength }] of known) {
      if (knownBytes <= maxRememberedBytes) break;
      known.delete(oldest);
      knownBytes -= byteLength;
    }
  };

  return async ({ caller, name, identity }, texts) => {
    const keys = texts.map((text) => keyOf(caller.principal.tenantId, identity, text));
    const found = new Map(keys.map((key) => [key, known.get(key)]));
    const missing = new Map(
      texts.flatMap((text, i) => (found.get(keys[i] ?? '') ? [] : [[keys[i] ?? '', text]])),
    );
    const wanted = [...missing];
    for (let at = 0; at < wanted.length; at += maxInputs) {
      const batch = wanted.slice(at, at + maxInputs);
      const { vectors } = await embed(caller, { model: name, inputs: batch.map(([, text]) => text) });
      for (const [index, [key]] of batch.entries()) {
        const vector = vectors[index];
        if (!vector || vector.length === 0) throw notAsAsked();
        found.set(key, vector);
        remember(key, vector);
      }
    }
    const all = keys.map((key) => found.get(key));
    if (!all.every((vector) => vector !== undefined && vector.length === all[0]?.length)) throw notAsAsked();
    return all as Float32Array[];
  };
}

function keyOf(tenantId: string, identity: string, text: string): string {
  return `${tenantId}\n${identity}\n${createHash('sha256').update(text).digest('base64')}`;
}

function notAsAsked(): AppError {
  return new AppError(
    'upstream_failed',
    'The embedding model did not give one vector of one length for each text.',
  );
}
