import { estimateTokens } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import { recordOf } from '../usage/token-counts.ts';
import { imageTokens, tokensPerMessage } from './openai-estimate.ts';

/** Tokens of a request by our own estimate: texts, calls, tool definitions and pictures, never a picture's bytes. */
export function estimateResponsesInput(request: JsonObject): number {
  const { instructions, input, tools } = request;
  const told = typeof instructions === 'string' ? tokensPerMessage + estimateTokens(instructions) : 0;
  const defined = tools === undefined ? 0 : estimateTokens(JSON.stringify(tools));
  if (typeof input === 'string') return told + defined + tokensPerMessage + estimateTokens(input);
  if (!Array.isArray(input)) return told + defined;
  return input.reduce((total: number, item: unknown) => total + ofItem(recordOf(item)), told + defined);
}

/** Tokens of what a response says: texts, reasoning that is shown, and the arguments of calls. */
export function estimateResponsesOutput(reply: JsonObject): number {
  const output = Array.isArray(reply.output) ? reply.output : [];
  return output.reduce(
    (total: number, item: unknown) => total + ofItem(recordOf(item)) - tokensPerMessage,
    0,
  );
}

function ofItem({ arguments: called, input, output, content, summary }: JsonObject): number {
  return [called, input, output, content, summary].reduce(
    (total: number, given) => total + ofContent(given),
    tokensPerMessage,
  );
}

function ofContent(given: unknown): number {
  if (typeof given === 'string') return estimateTokens(given);
  if (!Array.isArray(given)) return 0;
  return given.reduce((total: number, part: unknown) => total + ofPart(recordOf(part)), 0);
}

function ofPart(part: JsonObject): number {
  if (typeof part.text === 'string') return estimateTokens(part.text);
  if (typeof part.refusal === 'string') return estimateTokens(part.refusal);
  return part.type === 'input_image' ? imageTokens : 0;
}
