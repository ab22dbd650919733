import { asNumbers, embedText } from '../embedding.ts';
import type { Exchange } from '../exchange.ts';
import type { JsonObject, Service } from '../provider.ts';
import { invalidRequest } from '../provider-error.ts';
import { optionalInteger, requiredText } from '../read-json.ts';
import { sendReply } from '../send.ts';
import { nothingServed, type ServedTokens } from '../served.ts';
import { countTokens } from '../tokens.ts';

const usualDimensions = 768;
const maxDimensions = 3_072;
const maxInputs = 2_048;

/** Answers `POST /api/embed`. */
export async function serveEmbed(exchange: Exchange, body: JsonObject, service: Service): Promise<void> {
  const model = requiredText(body.model, 'model');
  const texts = readInputs(body.input);
  const dimensions = optionalInteger(body.dimensions, 'dimensions', 1, maxDimensions) ?? usualDimensions;
  const tokens = texts.reduce((total, text) => total + countTokens(text), 0);
  await service.admit(exchange, model, tokens);
  const embeddings = texts.map((text) => asNumbers(embedText(text, dimensions, service.options.seed)));
  const wireUsage = ({ inputTokens }: ServedTokens) => ({ prompt_eval_count: inputTokens });
  const bill = { served: { ...nothingServed, inputTokens: tokens }, wireUsage };
  const tellUsage = exchange.fault?.kind !== 'no-usage';
  const counts = { ...(tellUsage && wireUsage(bill.served)) };
  const reply = { model, embeddings, total_duration: 2_000_000, load_duration: 1_000_000, ...counts };
  return sendReply(exchange, JSON.stringify(reply), bill, tellUsage);
}

function readInputs(input: unknown): string[] {
  const texts: unknown[] = Array.isArray(input) ? input : [input];
  if (texts.length > maxInputs) throw invalidRequest(`at most ${maxInputs} inputs are taken`, 'input');
  return texts.map((text, index) => requiredText(text, `input[${index}]`));
}
