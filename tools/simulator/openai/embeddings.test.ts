import { expect, test } from 'vitest';
import { embedText } from '../embedding.ts';
import { ProviderError } from '../provider-error.ts';
import { answerEmbeddings, parseEmbeddingsRequest } from './embeddings.ts';

function cosine(left: string, right: string, dimensions = 256): number {
  const a = embedText(left, dimensions, 3);
  const b = embedText(right, dimensions, 3);
  return a.reduce((total, value, index) => total + value * (b[index] ?? 0), 0);
}

test('texts that share words are nearer than texts that do not', () => {
  const question = 'How long is the refund window for annual plans?';
  const answer = 'Annual plans have a refund window of thirty days.';
  const other = 'The cafeteria serves soup on Tuesdays.';
  expect(cosine(question, answer)).toBeGreaterThan(0.6);
  expect(Math.abs(cosine(question, other))).toBeLessThan(0.3);
});

test('every vector has length one, even of texts without words and in one dimension', () => {
  for (const [text, dimensions] of [
    ['refund refund window', 64],
    ['…', 8],
    ['plan and plan', 1],
  ] as const) {
    expect(Math.hypot(...embedText(text, dimensions, 3))).toBeCloseTo(1, 5);
  }
});

test('both encodings carry the same 32-bit vector', () => {
  const body = { model: 'text-embedding-3-small', input: 'refund window', dimensions: 48 };
  const read = (format: string) =>
    JSON.parse(answerEmbeddings(parseEmbeddingsRequest({ ...body, encoding_format: format }), 3).body).data[0]
      .embedding;
  const bytes = Buffer.from(read('base64'), 'base64');
  const decoded = Array.from({ length: 48 }, (_, index) => bytes.readFloatLE(index * 4));
  expect(decoded).toEqual(read('float').map(Math.fround));
  expect(decoded).toEqual([...embedText('refund window', 48, 3)]);
});

test('usage counts every input, token lists by their length', () => {
  const usageOf = (input: unknown) =>
    answerEmbeddings(parseEmbeddingsRequest({ model: 'm', input }), 3).usage;
  expect(usageOf(['hello world', 'hello'])).toEqual({ prompt_tokens: 3, total_tokens: 3 });
  expect(usageOf([1, 2, 3])).toEqual({ prompt_tokens: 3, total_tokens: 3 });
  expect(usageOf([[1, 2], [3]])).toEqual({ prompt_tokens: 3, total_tokens: 3 });
});

test('what the API does not take is refused by the name of the field', () => {
  for (const [body, param] of [
    [{ input: 'x' }, 'model'],
    [{ model: 'm' }, 'input'],
    [{ model: 'm', input: '' }, 'input'],
    [{ model: 'm', input: [] }, 'input'],
    [{ model: 'm', input: [{}] }, 'input'],
    [{ model: 'm', input: Array(2_049).fill('x') }, 'input'],
    [{ model: 'm', input: 'word '.repeat(9_000) }, 'input'],
    [{ model: 'm', input: 'x', dimensions: 0 }, 'dimensions'],
    [{ model: 'm', input: 'x', encoding_format: 'hex' }, 'encoding_format'],
  ] as const) {
    const refusal = catchError(() => parseEmbeddingsRequest(body));
    expect(refusal, JSON.stringify(body).slice(0, 80)).toMatchObject({
      kind: 'bad-request',
      details: { param },
    });
  }
});

function catchError(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(ProviderError);
    return error;
  }
  return undefined;
}
