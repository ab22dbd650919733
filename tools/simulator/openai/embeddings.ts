import { invalidRequest } from '../provider-error.ts';
import { hash32 } from '../seeded.ts';
import { countTokens } from '../tokens.ts';
import { isLittleWord, stemsOf } from '../words.ts';

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

/** Each stem lands on this many coordinates, so that two stems that share one still differ in the others. */
const coordinatesPerStem = 8;

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

/**
 * A bag of stems hashed onto a unit vector: each stem adds 1 + ln(count) to eight signed coordinates of its own, a
 * little word a twentieth of that. Texts that share words are near each other by cosine, others nearly at right
 * angles. A text without any word gets one fixed direction, since a zero vector has no cosine.
 */
export function embedText(text: string, dimensions: number, seed: number): Float32Array {
  const counts = new Map<string, number>();
  for (const word of stemsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const sums = new Float64Array(dimensions);
  if (counts.size === 0) sums[0] = 1;
  for (const [word, count] of counts) {
    const weight = (1 + Math.log(count)) * (isLittleWord(word) ? 0.05 : 1);
    for (let part = 0; part < coordinatesPerStem; part += 1) {
      const hash = hash32(word, seed + Math.imul(part, 0x9e3779b9));
      const coordinate = (hash >>> 1) % dimensions;
      sums[coordinate] = (sums[coordinate] ?? 0) + (hash & 1 ? weight : -weight);
    }
  }
  return unitVector(sums);
}

function unitVector(sums: Float64Array): Float32Array {
  const norm = Math.sqrt(sums.reduce((total, sum) => total + sum * sum, 0));
  // Signed contributions can cancel out to nothing in very few dimensions.
  if (norm === 0) return Float32Array.of(1, ...new Float32Array(sums.length - 1));
  return Float32Array.from(sums, (sum) => sum / norm);
}

/** Nine significant digits name a 32-bit float exactly, so that both encodings carry the same vector. */
function asNumbers(vector: Float32Array): number[] {
  return Array.from(vector, (value) => Number(value.toPrecision(9)));
}

/** Little-endian 32-bit floats, as the OpenAI API encodes them. */
function asBase64(vector: Float32Array): string {
  const bytes = Buffer.allocUnsafe(vector.length * 4);
  vector.forEach((value, index) => {
    bytes.writeFloatLE(value, index * 4);
  });
  return bytes.toString('base64');
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
