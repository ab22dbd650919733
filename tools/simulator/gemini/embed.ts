import { asNumbers, embedText } from '../embedding.ts';
import type { Exchange } from '../exchange.ts';
import type { JsonObject, Service } from '../provider.ts';
import { invalidRequest } from '../provider-error.ts';
import { optionalInteger, requiredList, requiredRecord } from '../read-json.ts';
import { sendReply } from '../send.ts';
import { nothingServed, type ServedTokens } from '../served.ts';
import { countTokens } from '../tokens.ts';
import { readParts } from './parts.ts';

const maxRequests = 100;
const maxDimensions = 3_072;

interface EmbedRequest {
  readonly text: string;
  readonly tokens: number;
  readonly dimensions: number;
}

/** Answers `:embedContent` and, with `batch`, `:batchEmbedContents`. */
export function serveEmbed(model: string, batch: boolean) {
  return async (exchange: Exchange, body: JsonObject, service: Service): Promise<void> => {
    const asked = batch ? readBatch(body, model) : [readOne(body, model, 'content')];
    const tokens = asked.reduce((total, one) => total + one.tokens, 0);
    await service.admit(exchange, model, tokens);
    const embeddings = asked.map(({ text, dimensions }) => ({
      values: asNumbers(embedText(text, dimensions, service.options.seed)),
    }));
    const bill = { served: { ...nothingServed, inputTokens: tokens }, wireUsage: embedUsage };
    const tellUsage = exchange.fault?.kind !== 'no-usage';
    const usage = { ...(tellUsage && { usageMetadata: embedUsage(bill.served) }) };
    const reply = batch ? { embeddings, ...usage } : { embedding: embeddings[0], ...usage };
    return sendReply(exchange, JSON.stringify(reply), bill, tellUsage);
  };
}

function embedUsage({ inputTokens }: ServedTokens): object {
  return { promptTokenCount: inputTokens };
}

function readBatch(body: JsonObject, model: string): EmbedRequest[] {
  const requests = requiredList(body.requests, 'requests');
  if (requests.length === 0 || requests.length > maxRequests) {
    throw invalidRequest(`requests: from 1 to ${maxRequests} are taken.`, 'requests');
  }
  return requests.map((one, index) =>
    readOne(requiredRecord(one, `requests[${index}]`), model, `requests[${index}]`),
  );
}

function readOne(request: JsonObject, model: string, param: string): EmbedRequest {
  const content = requiredRecord(request.content, `${param}.content`);
  const parts = readParts(requiredList(content.parts, `${param}.parts`), `${param}.parts`);
  const text = parts.map((part) => part.text).join('\n');
  const wanted = optionalInteger(
    request.outputDimensionality,
    `${param}.outputDimensionality`,
    1,
    maxDimensions,
  );
  const usual =
    model.startsWith('text-embedding-00') || model.startsWith('embedding-00') ? 768 : maxDimensions;
  return { text, tokens: countTokens(text), dimensions: wanted ?? usual };
}
