import { estimateTokens } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import { type PictureCounter, pictureAt } from '../usage/image-tokens.ts';
import { recordOf } from '../usage/token-counts.ts';
import { tokensPerMessage } from './openai-estimate.ts';

/** Tokens of a request by our own estimate: texts, calls, tool definitions and pictures, never a picture's bytes. */
export function estimateResponsesInput(request: JsonObject, countPicture: PictureCounter): number {
  const { instructions, input, tools } = request;
  const told = typeof instructions === 'string' ? tokensPerMessage + estimateTokens(instructions) : 0;
  const defined = tools === undefined ? 0 : estimateTokens(JSON.stringify(tools));
  if (typeof input === 'string') return told + defined + tokensPerMessage + estimateTokens(input);
  if (!Array.isArray(input)) return told + defined;
  return input.reduce(
    (total: number, item: unknown) => total + ofItem(recordOf(item), countPicture),
    told + defined,
  );
}

/** Tokens of what a response says: texts, reasoning that is shown, and the arguments of calls. */
export function estimateResponsesOutput(reply: JsonObject): number {
  const output = Array.isArray(reply.output) ? reply.output : [];
  return output.reduce(
    (total: number, item: unknown) => total + ofItem(recordOf(item), noPictures) - tokensPerMessage,
    0,
  );
}

/** A response says what it shows as files of its own, which are counted where they are made. */
const noPictures: PictureCounter = () => 0;

function ofItem(
  { arguments: called, input, output, content, summary }: JsonObject,
  countPicture: PictureCounter,
): number {
  return [called, input, output, content, summary].reduce(
    (total: number, given) => total + ofContent(given, countPicture),
    tokensPerMessage,
  );
}

function ofContent(given: unknown, countPicture: PictureCounter): number {
  if (typeof given === 'string') return estimateTokens(given);
  if (!Array.isArray(given)) return 0;
  return given.reduce((total: number, part: unknown) => total + ofPart(recordOf(part), countPicture), 0);
}

function ofPart(part: JsonObject, countPicture: PictureCounter): number {
  if (typeof part.text === 'string') return estimateTokens(part.text);
  if (typeof part.refusal === 'string') return estimateTokens(part.refusal);
  return part.type === 'input_image' ? countPicture(pictureAt(part.image_url, part.detail)) : 0;
}
