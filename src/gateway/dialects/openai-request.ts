import type { Provider, Target } from '../../routing/index.ts';
import type { JsonObject } from '../json-object.ts';
import type { DialectRequest } from '../model-call.ts';
import { type PictureCounter, pictureCounter } from '../usage/image-tokens.ts';
import { findMembers, lastSpan, type Span, splice } from './json-spans.ts';
import { parseBody, type RequestBody, readRequestBody } from './request-body.ts';

export interface OpenAiRequest extends DialectRequest {
  readonly model: string;
  readonly streamed: boolean;
}

/** What differs between the kinds of request. */
export interface RequestRules {
  readonly mayStream: boolean;
  /** Throws AppError `bad_request` on a field that the gateway depends on. */
  check(request: JsonObject): void;
  estimateInputTokens(request: JsonObject, countPicture: PictureCounter): number;
  /** Whether it may be sent twice; see `DialectRequest.repeatable`. Absent: always. */
  isRepeatable?(request: JsonObject): boolean;
}

const includeUsage = Buffer.from('"include_usage":true');
const wholeOption = Buffer.from('{"include_usage":true}');
const wholeMember = Buffer.from('"stream_options":{"include_usage":true},');
const trueValue = Buffer.from('true');

/**
 * Servers that refuse members they do not know, and send usage with the last event unasked: Mistral's API answers 422
 * to anything outside its schema.
 */
export function sendsUsageUnasked(provider: Provider): boolean {
  return provider.baseUrl.startsWith('https://api.mistral.ai/');
}

/**
 * Understands of a request what the gateway depends on (`model`, `stream`, the bound on output) and leaves the rest
 * for the provider to judge.
 * @param body the bytes as received.
 * @throws AppError `bad_request` naming the field, `unsupported_media_type` when there are no JSON bytes.
 */
export function readOpenAiRequest(body: unknown, rules: RequestRules): OpenAiRequest {
  const read = readRequestBody(body);
  rules.check(read.parsed);
  return new PassedRequest(read, rules);
}

/** A request on its way to providers: each gets the caller's bytes with its own model name in them. */
class PassedRequest implements OpenAiRequest {
  readonly bytes: Buffer;
  readonly model: string;
  readonly streamed: boolean;
  readonly outputBound: number | null;
  readonly hidesUsageEvent: boolean;
  readonly repeatable: boolean;
  readonly #usageEdits: readonly Edit[];
  readonly #modelSpans: readonly Span[];
  readonly #rules: RequestRules;

  constructor({ bytes, parsed, model, stream }: RequestBody, rules: RequestRules) {
    this.bytes = bytes;
    this.model = model;
    this.streamed = rules.mayStream && stream;
    this.#rules = rules;
    this.outputBound = outputBoundOf(parsed);
    this.repeatable = rules.isRepeatable?.(parsed) ?? true;
    const members = findMembers(bytes, ['model', 'stream_options']);
    // Every occurrence is replaced: whichever of equal keys the provider's parser takes, it is the one we allowed.
    this.#modelSpans = members.spans.filter((span) => span.key === 'model');
    const asked = asksForUsage(parsed);
    this.hidesUsageEvent = this.streamed && !asked;
    this.#usageEdits = this.hidesUsageEvent
      ? usageEdits(bytes, parsed, lastSpan(members, 'stream_options'))
      : [];
  }

  /** Parses the bytes once more: it is seldom asked for, and parsed bodies of calls in flight take much memory. */
  parsed(): JsonObject {
    return parseBody(this.bytes);
  }

  estimateInputTokens(target: Target): number {
    return this.#rules.estimateInputTokens(this.parsed(), pictureCounter(target));
  }

  bodyFor(target: Target): Buffer {
    const askForUsage = this.#usageEdits.length > 0 && !sendsUsageUnasked(target.provider);
    if (target.model === this.model && !askForUsage) return this.bytes;
    const by = Buffer.from(JSON.stringify(target.model));
    const edits: Edit[] = this.#modelSpans.map((span) => ({ start: span.start, end: span.end, by }));
    if (askForUsage) edits.push(...this.#usageEdits);
    return splice(this.bytes, edits.length > 1 ? edits.sort((a, b) => a.start - b.start) : edits);
  }
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly by: Buffer;
}

/** How to make the body ask for usage, touching as few bytes as can be. */
function usageEdits(bytes: Buffer, parsed: JsonObject, options: Span | undefined): readonly Edit[] {
  if (!options) {
    const inside = bytes.indexOf(0x7b) + 1;
    return [{ start: inside, end: inside, by: wholeMember }];
  }
  const given = parsed.stream_options;
  if (given === null) return [{ start: options.start, end: options.end, by: wholeOption }];
  // What is not an object is the provider's to refuse.
  if (typeof given !== 'object' || Array.isArray(given)) return [];
  const inner = findMembers(bytes, ['include_usage'], options.start).spans;
  if (inner.length > 0) return inner.map((span) => ({ start: span.start, end: span.end, by: trueValue }));
  const comma = Object.keys(given).length > 0 ? ',' : '';
  const by = comma === '' ? includeUsage : Buffer.concat([includeUsage, Buffer.from(comma)]);
  return [{ start: options.start + 1, end: options.start + 1, by }];
}

function asksForUsage(parsed: JsonObject): boolean {
  const options = parsed.stream_options;
  return (
    typeof options === 'object' &&
    options !== null &&
    (options as { include_usage?: unknown }).include_usage === true
  );
}

function outputBoundOf(parsed: JsonObject): number | null {
  const bound = parsed.max_completion_tokens ?? parsed.max_tokens;
  if (typeof bound !== 'number' || !Number.isFinite(bound) || bound < 0) return null;
  const choices = typeof parsed.n === 'number' && parsed.n > 1 ? Math.min(parsed.n, 128) : 1;
  return Math.min(Math.ceil(bound) * choices, 10_000_000);
}
