import type { IncomingHttpHeaders } from 'node:http';
import type { Target } from '../../routing/index.ts';
import type { JsonObject } from '../json-object.ts';
import type { CallerRequest } from '../model-call.ts';
import { pictureCounter } from '../usage/image-tokens.ts';
import { recordOf } from '../usage/token-counts.ts';
import { estimateMessagesInput } from './anthropic-estimate.ts';
import { markedBytes, withoutMarkedThoughts } from './anthropic-thoughts.ts';
import { findMembers, type Span, splice } from './json-spans.ts';
import { parseBody, type RequestBody, readRequestBody, refusal } from './request-body.ts';

/** The version of the API that is spoken to providers when the caller names none. */
const currentVersion = '2023-06-01';
/** The names of all features of the API in trial come to less. */
const maxHeaderLength = 2_000;
/** Above what any model can write. */
const mostOutputTokens = 10_000_000;

/**
 * Understands of a request what the gateway depends on (`model`, `stream`, the bound on output) and leaves the rest
 * for the provider to judge.
 * @param body the bytes as received.
 * @param counting whether it only asks for a count of tokens.
 * @throws AppError `bad_request` naming the field, `unsupported_media_type` when there are no JSON bytes.
 */
export function readAnthropicRequest(
  body: unknown,
  headers: IncomingHttpHeaders,
  counting = false,
): CallerRequest {
  const read = readRequestBody(body);
  if (!Array.isArray(read.parsed.messages)) throw refusal('messages', 'must be a list of messages');
  return new PassedMessages(read, passedHeaders(headers), counting);
}

/** A request on its way to providers: each gets the caller's bytes with its own model name in them. */
class PassedMessages implements CallerRequest {
  readonly bytes: Buffer;
  readonly model: string;
  readonly streamed: boolean;
  readonly outputBound: number | null;
  readonly hidesUsageEvent = false;
  readonly repeatable: boolean;
  readonly passedHeaders: readonly string[];
  readonly #modelSpans: readonly Span[];

  constructor({ bytes, parsed, model, stream }: RequestBody, headers: readonly string[], counting: boolean) {
    this.bytes = bytes;
    this.model = model;
    this.streamed = stream && !counting;
    this.outputBound = counting ? 0 : outputBoundOf(parsed);
    this.repeatable = counting || isRepeatable(parsed);
    this.passedHeaders = headers;
    // Every occurrence is replaced: whichever of equal keys the provider's parser takes, it is the one we allowed.
    this.#modelSpans = findMembers(bytes, ['model']).spans;
  }

  parsed(): JsonObject {
    return parseBody(this.bytes);
  }

  estimateInputTokens(target: Target): number {
    return estimateMessagesInput(this.parsed(), pictureCounter(target));
  }

  bodyFor(target: Target): Buffer {
    if (this.bytes.includes(markedBytes)) return this.#withoutMarks(target.model);
    if (target.model === this.model) return this.bytes;
    const by = Buffer.from(JSON.stringify(target.model));
    return splice(
      this.bytes,
      this.#modelSpans.map(({ start, end }) => ({ start, end, by })),
    );
  }

  /** A conversation that another provider had a part in: the one case in which a body is written anew. */
  #withoutMarks(model: string): Buffer {
    const { messages, ...rest } = this.parsed();
    const kept = Array.isArray(messages) ? withoutMarkedThoughts(messages) : messages;
    return Buffer.from(JSON.stringify({ ...rest, model, messages: kept }));
  }
}

/** The version and the features in trial that the caller counts on; nothing else of the caller's headers leaves. */
function passedHeaders(headers: IncomingHttpHeaders): readonly string[] {
  const version = headers['anthropic-version'];
  const passed = ['anthropic-version', typeof version === 'string' ? version : currentVersion];
  const beta = headers['anthropic-beta'];
  if (beta !== undefined) passed.push('anthropic-beta', String(beta));
  if (passed.some((text) => text.length > maxHeaderLength)) {
    throw refusal('anthropic-beta', `must be at most ${maxHeaderLength} characters`);
  }
  return passed;
}

function outputBoundOf({ max_tokens: bound }: JsonObject): number | null {
  if (typeof bound !== 'number' || !Number.isFinite(bound) || bound < 0) return null;
  return Math.min(Math.ceil(bound), mostOutputTokens);
}

/** Tools that the caller runs, by the beginning of their type; those without a type are the caller's own. */
const callersTools = /^(?:custom$|bash_|text_editor_|computer_|memory_|browser_|tool_search_)/;

/** Tools that the provider runs, its containers and MCP servers act on the world, and may have done so already. */
function isRepeatable({ tools, mcp_servers: servers, container }: JsonObject): boolean {
  if ((servers ?? null) !== null && !(Array.isArray(servers) && servers.length === 0)) return false;
  if ((container ?? null) !== null) return false;
  if (!Array.isArray(tools)) return true;
  return tools.every((tool) => {
    const { type } = recordOf(tool);
    return type === undefined || type === null || (typeof type === 'string' && callersTools.test(type));
  });
}
