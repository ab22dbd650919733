import { AppError } from '../../platform/errors.ts';
import type { Target } from '../../routing/index.ts';
import type { JsonObject } from '../json-object.ts';
import type { DialectRequest } from '../model-call.ts';
import { pictureCounter } from '../usage/image-tokens.ts';
import { recordOf } from '../usage/token-counts.ts';
import { elementsOf, findMembers, lastSpan, type Span, splice } from './json-spans.ts';
import { estimateResponsesInput } from './openai-responses-estimate.ts';
import { sealMark } from './openai-responses-seal.ts';
import { parseBody, type RequestBody, readRequestBody, refusal } from './request-body.ts';

export interface ResponsesRequest extends DialectRequest {
  readonly model: string;
  readonly streamed: boolean;
}

/**
 * Understands of a request what the gateway depends on and leaves the rest for the provider to judge.
 * @param body the bytes as received.
 * @throws AppError `bad_request` naming the field; `invalid` for what cannot be had through a gateway.
 */
export function readResponsesRequest(body: unknown): ResponsesRequest {
  const read = readRequestBody(body);
  const { input, background } = read.parsed;
  if (input !== undefined && input !== null && typeof input !== 'string' && !Array.isArray(input)) {
    throw refusal('input', 'must be a text or a list of items');
  }
  if (background === true) {
    // Its answer would be fetched later, where nobody could check a budget or write down what it used.
    const message =
      'must not be true: what is answered in the background could not be accounted for. Use stream';
    throw new AppError('invalid', `"background" ${message}.`, { errors: [{ path: 'background', message }] });
  }
  return new PassedResponsesRequest(read);
}

/** Tools that the caller runs; every other one makes the provider act, or may. */
const callersTools = new Set(['function', 'custom']);

/**
 * Whether sending it twice does no more than sending it once: not when the provider runs tools, adds to a conversation
 * that it keeps, or takes its tools from a prompt that it keeps. A reply that is stored twice changes nothing for
 * anybody, and neither does one that goes on from a stored reply, which stays as it was.
 */
function isRepeatable({ tools, conversation, prompt }: JsonObject): boolean {
  if ((conversation ?? null) !== null || (prompt ?? null) !== null) return false;
  if (tools === undefined || tools === null) return true;
  return Array.isArray(tools) && tools.every((tool) => callersTools.has(String(recordOf(tool).type)));
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly by: Buffer;
}

/** A request on its way to providers: each gets the caller's bytes with its own model name in them. */
class PassedResponsesRequest implements ResponsesRequest {
  readonly bytes: Buffer;
  readonly model: string;
  readonly streamed: boolean;
  readonly outputBound: number | null;
  readonly repeatable: boolean;
  readonly hidesUsageEvent = false;
  readonly #modelSpans: readonly Span[];

  constructor({ bytes, parsed, model, stream }: RequestBody) {
    this.bytes = bytes;
    this.model = model;
    this.streamed = stream;
    this.outputBound = outputBoundOf(parsed);
    this.repeatable = isRepeatable(parsed);
    // Every occurrence is replaced: whichever of equal keys the provider's parser takes, it is the one we allowed.
    this.#modelSpans = findMembers(bytes, ['model']).spans;
  }

  parsed(): JsonObject {
    return parseBody(this.bytes);
  }

  estimateInputTokens(target: Target): number {
    return estimateResponsesInput(this.parsed(), pictureCounter(target));
  }

  bodyFor(target: Target): Buffer {
    const edits: Edit[] = [...withoutForeignReasoning(this.bytes)];
    if (target.model !== this.model) {
      const by = Buffer.from(JSON.stringify(target.model));
      edits.push(...this.#modelSpans.map(({ start, end }) => ({ start, end, by })));
    }
    return splice(
      this.bytes,
      edits.sort((a, b) => a.start - b.start),
    );
  }
}

const mark = Buffer.from(`"${sealMark}`);

/**
 * Reasoning items that another provider's signatures were sealed in (openai-responses-seal.ts) are taken out again:
 * OpenAI refuses encrypted content that is not its own, and a conversation may go on at another target.
 */
function withoutForeignReasoning(bytes: Buffer): readonly Edit[] {
  if (!bytes.includes(mark)) return [];
  const input = lastSpan(findMembers(bytes, ['input']), 'input');
  if (!input) return [];
  const elements = elementsOf(bytes, input.start);
  const kept = elements.filter(({ start, end }) => {
    if (!bytes.subarray(start, end).includes(mark)) return true;
    const { type, encrypted_content: content } = recordOf(JSON.parse(bytes.toString('utf8', start, end)));
    return type !== 'reasoning' || typeof content !== 'string' || !content.startsWith(sealMark);
  });
  if (kept.length === elements.length) return [];
  const parts = kept.flatMap(({ start, end }) => [comma, bytes.subarray(start, end)]).slice(1);
  const by = Buffer.concat([openBracket, ...parts, closeBracket]);
  return [{ start: input.start, end: input.end, by }];
}

const openBracket = Buffer.from('[');
const closeBracket = Buffer.from(']');
const comma = Buffer.from(',');

function outputBoundOf({ max_output_tokens: bound }: JsonObject): number | null {
  if (typeof bound !== 'number' || !Number.isFinite(bound) || bound < 0) return null;
  return Math.min(Math.ceil(bound), 10_000_000);
}
