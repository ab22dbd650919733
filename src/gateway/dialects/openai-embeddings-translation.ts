import type { EmbeddingModelV4Result } from '@ai-sdk/provider';
import { FieldReader } from '../translation/field-reader.ts';
import { present } from '../translation/present.ts';
import type { EmbeddingTranslation, ReplyContext } from '../translation/translation.ts';
import { writeOpenAiError } from './openai-error.ts';

/** As many as OpenAI takes in one request. */
const maxInputs = 2_048;

/** OpenAI's embeddings, for providers that do not speak it. */
export const openAiEmbeddingsTranslation: EmbeddingTranslation = {
  kind: 'embeddings',
  readRequest(request) {
    const fields = new FieldReader();
    // `user` is an id for the provider's abuse detection.
    fields.only(request, ['model', 'input', 'dimensions', 'encoding_format', 'user'], '');
    const given =
      typeof request.input === 'string' ? [request.input] : (fields.list(request.input, 'input') ?? []);
    const values = given.map((item, index) => {
      if (typeof item === 'string') return item;
      fields.refuse(`input.${index}`, 'must be a text: token ids mean something to OpenAI only');
      return '';
    });
    if (values.length === 0 || values.length > maxInputs) {
      fields.refuse('input', `must be 1 to ${maxInputs} texts`);
    }
    const format = fields.text(request.encoding_format, 'encoding_format') ?? 'float';
    if (format !== 'float' && format !== 'base64')
      fields.refuse('encoding_format', 'must be float or base64');
    const dimensions = fields.number(request.dimensions, 'dimensions');
    fields.finish();
    return present({ values, dimensions });
  },
  writeReply: writeEmbeddings,
  writeError: writeOpenAiError,
};

/** https://platform.openai.com/docs/api-reference/embeddings/object */
function writeEmbeddings({ embeddings, usage }: EmbeddingModelV4Result, context: ReplyContext): Buffer {
  const base64 = context.request.encoding_format === 'base64';
  const tokens = usage?.tokens;
  return Buffer.from(
    JSON.stringify({
      object: 'list',
      data: embeddings.map((vector, index) => ({
        object: 'embedding',
        index,
        embedding: base64 ? float32Base64(vector) : vector,
      })),
      model: context.model,
      ...(tokens === undefined ? {} : { usage: { prompt_tokens: tokens, total_tokens: tokens } }),
    }),
  );
}

/** 32-bit floats, the lowest byte first. */
function float32Base64(vector: readonly number[]): string {
  const bytes = Buffer.allocUnsafe(vector.length * 4);
  vector.forEach((value, index) => {
    bytes.writeFloatLE(value, index * 4);
  });
  return bytes.toString('base64');
}
