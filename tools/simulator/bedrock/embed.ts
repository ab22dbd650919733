import { asNumbers, embedText } from '../embedding.ts';
import type { Endpoint } from '../provider.ts';
import { invalidRequest } from '../provider-error.ts';
import { optionalInteger, requiredList, requiredRecord, requiredText } from '../read-json.ts';
import { sendReply } from '../send.ts';
import { nothingServed, type ServedTokens } from '../served.ts';
import { countTokens } from '../tokens.ts';

interface EmbedCall {
  readonly texts: readonly string[];
  readonly dimensions: number;
  readonly reply: (vectors: readonly number[][], tokens: number) => object;
}

const maxTexts = 96;
const maxDimensions = 3_072;

/** Answers `/invoke` of the embedding models of Amazon (Titan, Nova) and Cohere, each in its own form. */
export function serveInvoke(model: string): Endpoint['serve'] {
  return async (exchange, body, service) => {
    const asked = readCall(model, body);
    const tokens = asked.texts.reduce((total, text) => total + countTokens(text), 0);
    await service.admit(exchange, model, tokens);
    exchange.headers['x-amzn-bedrock-input-token-count'] = String(tokens);
    const vectors = asked.texts.map((text) =>
      asNumbers(embedText(text, asked.dimensions, service.options.seed)),
    );
    const wireUsage = ({ inputTokens }: ServedTokens) => ({ inputTextTokenCount: inputTokens });
    const bill = { served: { ...nothingServed, inputTokens: tokens }, wireUsage };
    return sendReply(exchange, JSON.stringify(asked.reply(vectors, tokens)), bill);
  };
}

function readCall(model: string, body: Record<string, unknown>): EmbedCall {
  if (model.includes('cohere.embed')) return cohereCall(model, body);
  if (model.includes('nova') && model.includes('embed')) return novaCall(body);
  if (model.includes('titan-embed')) return titanCall(body);
  throw invalidRequest(`The simulator invokes embedding models only; converse with ${model} instead.`);
}

function titanCall(body: Record<string, unknown>): EmbedCall {
  return {
    texts: [requiredText(body.inputText, 'inputText')],
    dimensions: optionalInteger(body.dimensions, 'dimensions', 1, maxDimensions) ?? 1_024,
    reply: ([embedding = []], tokens) => ({
      embedding,
      embeddingsByType: { float: embedding },
      inputTextTokenCount: tokens,
    }),
  };
}

function novaCall(body: Record<string, unknown>): EmbedCall {
  const params = requiredRecord(body.singleEmbeddingParams, 'singleEmbeddingParams');
  const text = requiredRecord(params.text, 'singleEmbeddingParams.text');
  const wanted = optionalInteger(params.embeddingDimension, 'embeddingDimension', 1, maxDimensions);
  return {
    texts: [requiredText(text.value, 'singleEmbeddingParams.text.value')],
    dimensions: wanted ?? maxDimensions,
    reply: ([embedding = []], tokens) => ({
      embeddings: [{ embeddingType: 'TEXT', embedding }],
      inputTokenCount: tokens,
    }),
  };
}

function cohereCall(model: string, body: Record<string, unknown>): EmbedCall {
  const texts = requiredList(body.texts, 'texts').map((text, index) => requiredText(text, `texts[${index}]`));
  if (texts.length === 0 || texts.length > maxTexts) {
    throw invalidRequest(`texts: from 1 to ${maxTexts} are taken.`, 'texts');
  }
  requiredText(body.input_type, 'input_type');
  const byType = model.includes('embed-v4') || body.embedding_types !== undefined;
  return {
    texts,
    dimensions:
      optionalInteger(body.output_dimension, 'output_dimension', 1, maxDimensions) ??
      (model.includes('embed-v4') ? 1_536 : 1_024),
    reply: (vectors) => ({
      id: '00000000-0000-4000-8000-000000000000',
      texts,
      embeddings: byType ? { float: vectors } : vectors,
      response_type: byType ? 'embeddings_by_type' : 'embeddings_floats',
    }),
  };
}
