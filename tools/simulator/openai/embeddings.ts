import { asBase64, asNumbers, embedText } from '../embedding.ts';
import { invalidRequest } from '../provider-error.ts';
import { countTokens } from '../tokens.ts';

/** The OpenAI limits of one embeddings request: inputs, and tokens of one input. */
const maxInputs = 2_048;
const maxInputTokens = 8_192;
const maxDimensions = 3_072;

/** Vector lengths of the models that have one of their own; every other model gives 1,536 numbers. */
const dimensionsOfModel: Readonly<Record<string, number>> = {
  'text-embedding-3-large': 3_072,
  'text-embedding-3-small': 1_536,
  'text-embedding-ada-002': 1_536,
};

export interface EmbeddingsRequest {
  readonly model: string;
  /** Texts as given; token arrays become one word per token id. */
  readonly inputs: readonly { readonly text: string; readonly tokens: number }[];
  readonly dimensions: number;
  readonly encodingFormat: 'float' | 'base64';
}

export interface EmbeddingsUsage {
  readonly prompt_tokens: number;
  readonly total_tokens: number;
}

/**
 * Reads the body of `POST /v1/embeddings`. Takes what the OpenAI API takes: a text, a list of texts, a list of token
 * ids, or a list of such lists. Throws ProviderError 400 naming the field.
 */
export function parseEmbeddingsRequest(body: Record<string, unknown>): EmbeddingsRequest {
  const { model, dimensions, encoding_format: encodingFormat = 'float' } = body;
  if (typeof model !== 'string' || model === '') throw invalidRequest('You must name a model.', 'model');
  if (encodingFormat !== 'float' && encodingFormat !== 'base64') {
    throw invalidRequest("'encoding_format' must be 'float' or 'base64'.", 'encoding_format');
  }
  const length = dimensions ?? dimensionsOfModel[model] ?? 1_536;
  if (typeof length !== 'number' || !Number.isInteger(length) || length < 1 || length > maxDimensions) {
    throw invalidRequest(`'dimensions' must be a whole number from 1 to ${maxDimensions}.`, 'dimensions');
  }
  return { model, inputs: readInputs(body.input).map(measured), dimensions: length, encodingFormat };
}

/** The reply of `POST /v1/embeddings` and the usage in it. The same seed and text always give the same vector. */
export function answerEmbeddings(
  request: EmbeddingsRequest,
  seed: number,
): { readonly body: string; readonly usage: EmbeddingsUsage } {
  const data = request.inputs.map(({ text }, index) => {
    const vector = embedText(text, request.dimensions, seed);
    const embedding = request.encodingFormat === 'base64' ? asBase64(vector) : asNumbers(vector);
    return { object: 'embedding', index, embedding };
  });
  const promptTokens = request.inputs.reduce((total, input) => total + input.tokens, 0);
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  return { body: JSON.stringify({ object: 'list', data, model: request.model, usage }), usage };
}

type EmbeddingsInput = { readonly text: string; readonly tokens?: number };

function readInputs(input: unknown): EmbeddingsInput[] {
  if (typeof input === 'string') return [{ text: input }];
  if (!Array.isArray(input) || input.length === 0) {
    throw invalidRequest("'input' must be a text, a list of texts, or token ids.", 'input');
  }
  if (isTokenIds(input)) return [textOfTokenIds(input)];
  if (input.length > maxInputs) throw invalidRequest(`'input' may hold at most ${maxInputs} items.`, 'input');
  return input.map((item: unknown) => {
    if (typeof item === 'string') return { text: item };
    if (Array.isArray(item) && item.length > 0 && isTokenIds(item)) return textOfTokenIds(item);
    throw invalidRequest("Each item of 'input' must be a text or a list of token ids.", 'input');
  });
}

function isTokenIds(items: unknown[]): items is number[] {
  return items.every((item) => typeof item === 'number' && Number.isInteger(item) && item >= 0);
}

/** Whose encoding the ids are of is not known here, so each id is simply a word of its own. */
function textOfTokenIds(ids: readonly number[]): EmbeddingsInput {
  return { text: ids.map((id) => `token${id}`).join(' '), tokens: ids.length };
}

function measured(input: EmbeddingsInput): { text: string; tokens: number } {
  if (input.text === '') throw invalidRequest("'input' may not be empty.", 'input');
  const tokens = input.tokens ?? countTokens(input.text);
  if (tokens > maxInputTokens) {
    throw invalidRequest(`An input has ${tokens} tokens; at most ${maxInputTokens} are taken.`, 'input');
  }
  return { text: input.text, tokens };
}
