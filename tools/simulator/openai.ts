import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Exchange, hang, pause, readBody, resetConnection, sendWhole } from './exchange.ts';
import { type Faults, parseFault } from './faults.ts';
import { headersForJournal, type Journal } from './journal.ts';
import { replyToChat } from './openai-chat.ts';
import { behaviourOf, parseChatRequest } from './openai-chat-request.ts';
import { sendCompletion, sendStream } from './openai-chat-send.ts';
import { answerEmbeddings, parseEmbeddingsRequest } from './openai-embeddings.ts';
import type { FullOptions, Pace } from './options.ts';
import {
  invalidRequest,
  ProviderError,
  rateLimited,
  unknownModel,
  unknownPath,
  wrongKey,
} from './provider-error.ts';
import type { RateLimits } from './rate-limits.ts';
import { createSeededRandom } from './seeded.ts';

interface OpenAiDeps {
  readonly options: FullOptions;
  readonly journal: Journal;
  readonly faults: Faults;
  readonly rateLimits: RateLimits;
  readonly pace: () => Pace;
}

const defaultModels = ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'o3-mini', 'text-embedding-3-small'];
const maxKeptBody = 64 * 1024;

/** Serves the OpenAI API's chat completions, embeddings and models on a node:http request. */
export function createOpenAi(
  deps: OpenAiDeps,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { options, journal, faults, rateLimits } = deps;
  const acceptedKeys = options.apiKey === undefined ? undefined : new Set([options.apiKey].flat());

  function begin(request: IncomingMessage, response: ServerResponse): Exchange {
    const requestId = `req_sim_${options.seed}_${journal.totals().calls + 1}`;
    const call = journal.begin({
      requestId,
      method: request.method ?? 'GET',
      path: (request.url ?? '/').split('?', 1)[0] ?? '/',
      headers: headersForJournal(request.headers),
    });
    const headers = {
      'x-request-id': requestId,
      'openai-version': '2020-10-01',
      'openai-processing-ms': '0',
    };
    const exchange: Exchange = {
      ...{ request, response, call, headers },
      changed: journal.changed,
      fault: undefined,
      torn: false,
    };
    response.on('close', () => journal.end(call, !response.writableFinished && !exchange.torn));
    return exchange;
  }

  async function serve(exchange: Exchange): Promise<void> {
    const { request, call } = exchange;
    const bytes = await readBody(request);
    call.requestBytes = bytes.length;
    if (options.keepBodies) call.requestBody = bytes.toString('utf8', 0, Math.min(bytes.length, maxKeptBody));
    const key = /^Bearer (.+)$/u.exec(request.headers.authorization ?? '')?.[1];
    if (acceptedKeys && !(key !== undefined && acceptedKeys.has(key))) throw wrongKey();
    const body = request.method === 'POST' ? parseJson(bytes) : undefined;
    if (typeof body?.model === 'string') call.model = body.model;
    exchange.fault = headerFault(request) ?? faults.choose(call);
    call.fault = exchange.fault?.kind ?? null;
    exchange.changed();
    if (await failBeforeHeaders(exchange)) return;
    await route(exchange, body);
  }

  async function route(exchange: Exchange, body: Record<string, unknown> | undefined): Promise<void> {
    const { path, method } = exchange.call;
    const post = path === '/v1/chat/completions' || path === '/v1/embeddings';
    const get = path === '/v1/models' || path.startsWith('/v1/models/');
    if (!post && !get) throw unknownPath(404, method, path);
    if (post !== (body !== undefined) || (get && method !== 'GET')) throw unknownPath(405, method, path);
    if (body === undefined) return models(exchange);
    return path === '/v1/embeddings' ? embeddings(exchange, body) : chat(exchange, body);
  }

  async function chat(exchange: Exchange, body: Record<string, unknown>): Promise<void> {
    const { call, request } = exchange;
    const asked = parseChatRequest(body);
    call.stream = asked.stream;
    await admit(exchange, asked.model, asked.promptTokens);
    const reply = replyToChat(asked, {
      seed: options.seed,
      tokensPerChunk: options.tokensPerChunk,
      behaviour: behaviourOf(asked.model, headerText(request, 'x-sim-behaviour')),
      answerTokens: headerNumber(request, 'x-sim-answer-tokens') ?? options.answerTokens,
      cachedTokens: headerNumber(request, 'x-sim-cached-tokens') ?? options.cachedTokens,
    });
    call.replyId = `chatcmpl-sim-${options.seed}-${call.number}`;
    const identity = { id: call.replyId, created: Math.floor(options.now() / 1000) };
    if (!asked.stream) return sendCompletion(exchange, reply, identity);
    return sendStream(exchange, reply, identity, { ...deps.pace(), includeUsage: asked.includeUsage });
  }

  async function embeddings(exchange: Exchange, body: Record<string, unknown>): Promise<void> {
    const asked = parseEmbeddingsRequest(body);
    const tokens = asked.inputs.reduce((total, input) => total + input.tokens, 0);
    await admit(exchange, asked.model, tokens);
    const { body: reply, usage } = answerEmbeddings(asked, options.seed);
    exchange.call.billed = usage;
    exchange.call.usage = usage;
    return sendWhole(exchange, 200, 'application/json', reply);
  }

  function models(exchange: Exchange): Promise<void> {
    const data = (options.models ?? defaultModels).map(modelCard);
    const id = exchange.call.path.slice('/v1/models/'.length);
    if (id === '')
      return sendWhole(exchange, 200, 'application/json', JSON.stringify({ object: 'list', data }));
    if (options.models && !options.models.includes(id)) throw unknownModel(id);
    return sendWhole(exchange, 200, 'application/json', JSON.stringify(modelCard(id)));
  }

  /** What every model call passes: the model list, the context window, the rate limits and the latency. */
  async function admit(exchange: Exchange, model: string, promptTokens: number): Promise<void> {
    if (options.models && !options.models.includes(model)) throw unknownModel(model);
    if (promptTokens > options.contextTokens) {
      const told = `The prompt has ${promptTokens} tokens; this model takes at most ${options.contextTokens}.`;
      throw invalidRequest(told, 'messages', 'context_length_exceeded');
    }
    const reading = rateLimits.take(exchange.request.headers.authorization ?? '', promptTokens);
    Object.assign(exchange.headers, reading.headers);
    if (reading.exceeded) throw rateLimited(reading.exceeded.retryAfterS, reading.exceeded.limitedBy);
    const slowMs = exchange.fault?.kind === 'slow-first-token' ? (exchange.fault.delayMs ?? 2_000) : 0;
    await pause(exchange.response, slowMs + latencyOf(exchange.call.number, options.seed, deps.pace()));
  }

  return async (request, response) => {
    const exchange = begin(request, response);
    try {
      await serve(exchange);
    } catch (error) {
      if (response.headersSent || response.destroyed) return;
      const refusal = error instanceof ProviderError ? error : new ProviderError(500, String(error));
      Object.assign(exchange.headers, refusal.headers);
      exchange.fault = undefined;
      await sendWhole(exchange, refusal.status, 'application/json', refusal.body());
    }
  };
}

/** Faults that come instead of an answer. True when nothing more is to be said. */
async function failBeforeHeaders(exchange: Exchange): Promise<boolean> {
  const { fault } = exchange;
  switch (fault?.kind) {
    case 'rate-limited':
      throw rateLimited(fault.retryAfterS ?? 1);
    case 'server-error':
      throw new ProviderError(fault.status ?? 500, 'The server had an error while processing the request.');
    case 'unavailable':
      throw new ProviderError(fault.status ?? 503, 'The model is overloaded. Try again later.');
    case 'html-error':
      await sendWhole(exchange, fault.status ?? 502, 'text/html; charset=utf-8', htmlPage);
      return true;
    case 'hang-before-headers':
      await hang(exchange);
      return true;
    case 'reset-before-headers':
      resetConnection(exchange);
      return true;
    default:
      return false;
  }
}

const htmlPage =
  '<!doctype html>\n<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n';

/** A log-normal latency with the given median, drawn from the seed and the call's number. */
function latencyOf(callNumber: number, seed: number, { latencyMs, latencySigma }: Pace): number {
  if (latencyMs === 0 || latencySigma === 0) return latencyMs;
  const random = createSeededRandom(Math.imul(seed, 17) + callNumber);
  // Box-Muller: two even draws make one normal draw; 1 - x keeps the logarithm off zero.
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return latencyMs * Math.exp(latencySigma * normal);
}

function modelCard(id: string): object {
  return { id, object: 'model', created: 1_700_000_000, owned_by: 'simulator' };
}

function parseJson(bytes: Buffer): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof body === 'object' && body !== null && !Array.isArray(body))
      return body as Record<string, unknown>;
  } catch {
    // Told below, in the provider's words, as for JSON that is not an object.
  }
  throw invalidRequest('The body of the request is not a JSON object.');
}

function headerText(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function headerNumber(request: IncomingMessage, name: string): number | undefined {
  const text = headerText(request, name);
  const number = Number(text);
  return text === undefined || !Number.isInteger(number) || number < 0 ? undefined : number;
}

function headerFault(request: IncomingMessage): ReturnType<typeof parseFault> | undefined {
  const line = headerText(request, 'x-sim-fault');
  if (line === undefined) return undefined;
  try {
    return parseFault(line);
  } catch {
    throw invalidRequest(`'x-sim-fault: ${line}' is not a fault.`);
  }
}
