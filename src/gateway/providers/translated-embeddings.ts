import type { EmbeddingTranslation } from '../translation/translation.ts';
import { providerWires } from './provider-wires.ts';
import { type Asked, refusedFields } from './translated-call.ts';

/** Asks an embedding model through its provider package. @throws as `askChat` does. */
export async function askEmbeddings(asked: Asked, _translation: EmbeddingTranslation): Promise<void> {
  const { embeddings } = providerWires[asked.target.provider.kind];
  if (embeddings === null) {
    const message = `leads to a provider of kind ${asked.target.provider.kind}, which offers no embeddings`;
    throw refusedFields(asked, [{ path: 'model', message }]);
  }
}
