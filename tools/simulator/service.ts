import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Exchange, hang, pause, readBody, resetConnection } from './exchange.ts';
import { type Fault, type Faults, parseFault } from './faults.ts';
import { digestOf, headersForJournal, type Journal } from './journal.ts';
import { type Answering, behaviourOf } from './model-call.ts';
import type { FullOptions, Pace } from './options.ts';
import type { PromptCache } from './prompt-cache.ts';
import type { Endpoint, Face, JsonObject, Provider, Service } from './provider.ts';
import {
  invalidRequest,
  ProviderError,
  promptTooLong,
  rateLimited,
  unknownModel,
  unknownPath,
  wrongKey,
} from './provider-error.ts';
import type { RateLimits } from './rate-limits.ts';
import { createSeededRandom } from './seeded.ts';
import { overloaded, sendWhole } from './send.ts';

interface ServiceDeps {
  readonly options: FullOptions;
  readonly journal: Journal;
  readonly faults: Faults;
  readonly rateLimits: RateLimits;
  readonly promptCache: PromptCache;
  readonly pace: () => Pace;
  readonly providers: readonly Provider[];
  /** Whether the simulator is being stopped, which breaks the calls that go on. */
  readonly stopping: () => boolean;
  /** Whose way of refusing is used where no provider serves the path. */
  readonly defaultFace: Face;
}

const maxKeptBody = 64 * 1024;

/** Serves every provider on node:http requests: what a call passes before and after its wire format's own part. */
export function createService(
  deps: ServiceDeps,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { options, journal, faults, rateLimits } = deps;
  const acceptedKeys = options.apiKey === undefined ? undefined : new Set([options.apiKey].flat());
  const service: Service = { options, promptCache: deps.promptCache, pace: deps.pace, admit, answering };

  function endpointOf(request: IncomingMessage): Endpoint {
    const url = new URL(request.url ?? '/', 'http://simulator');
    for (const provider of deps.providers) {
      const found = provider.find(url, request.headers);
      if (found) return found;
    }
    const refuse = ({ call }: Exchange): Promise<void> =>
      Promise.reject(unknownPath('unknown-path', call.method, call.path));
    return { wire: 'other', face: deps.defaultFace, method: 'GET', serve: refuse };
  }

  function begin(request: IncomingMessage, response: ServerResponse, { wire, face }: Endpoint): Exchange {
    const requestId = `req_sim_${options.seed}_${journal.totals().calls + 1}`;
    const call = journal.begin({
      requestId,
      wire,
      method: request.method ?? 'GET',
      path: (request.url ?? '/').split('?', 1)[0] ?? '/',
      headers: headersForJournal(request.headers),
    });
    const exchange: Exchange = {
      ...{ request, response, call, headers: face.headers(requestId) },
      changed: journal.changed,
      key: face.credential(request),
      limitHeaders: face.limits,
      fault: undefined,
      broken: false,
    };
    response.on('close', () => {
      const finished = response.writableFinished;
      if (exchange.broken || (!finished && deps.stopping())) journal.end(call, 'broken');
      else if (!finished) journal.end(call, 'aborted');
      else journal.end(call, (call.status ?? 0) >= 400 ? 'refused' : 'whole');
    });
    return exchange;
  }

  async function serve(exchange: Exchange, endpoint: Endpoint): Promise<void> {
    const { request, call, key } = exchange;
    call.keySuffix = key?.slice(-4) ?? null;
    const bytes = await readBody(request);
    call.requestBytes = bytes.length;
    if (bytes.length > 0) call.requestHash = digestOf(bytes);
    if (options.keepBodies) call.requestBody = bytes.toString('utf8', 0, Math.min(bytes.length, maxKeptBody));
    const accepted = key !== undefined && (acceptedKeys?.has(key) || endpoint.face.accepts?.(key));
    if (acceptedKeys && !accepted) throw wrongKey();
    endpoint.face.check?.(request, bytes);
    const body = request.method === 'POST' ? parseJson(bytes) : undefined;
    call.model = endpoint.model ?? (typeof body?.model === 'string' ? body.model : null);
    call.stream = endpoint.stream ?? body?.stream === true;
    const { fault, step } = faultOf(exchange);
    Object.assign(exchange, { fault });
    Object.assign(call, { fault: fault?.kind ?? null, step });
    exchange.changed();
    if (await failBeforeHeaders(exchange)) return;
    if (endpoint.wire !== 'other' && request.method !== endpoint.method)
      throw unknownPath('wrong-method', call.method, call.path);
    await endpoint.serve(exchange, body ?? {}, service);
  }

  function faultOf({ request, call, key }: Exchange): { fault: Fault | undefined; step: number | null } {
    const own = headerFault(request);
    return own ? { fault: own, step: null } : faults.choose({ ...call, key });
  }

  async function admit(exchange: Exchange, model: string | undefined, promptTokens: number): Promise<void> {
    const { call, fault } = exchange;
    if (model !== undefined && options.models?.includes(model) === false) throw unknownModel(model);
    if (promptTokens > options.contextTokens) throw promptTooLong(promptTokens, options.contextTokens);
    const reading = rateLimits.take(exchange.key ?? '', promptTokens);
    Object.assign(exchange.headers, exchange.limitHeaders(reading, options.now()));
    if (reading.exceeded) throw rateLimited(reading.exceeded.retryAfterS, reading.exceeded.limitedBy);
    const late =
      fault?.kind === 'slow-headers' || (fault?.kind === 'slow-first-token' && !call.stream)
        ? (fault.delayMs ?? 2_000)
        : 0;
    await pause(exchange.response, late + latencyOf(call.number, options.seed, deps.pace()));
  }

  function answering({ request, fault }: Exchange, model: string): Answering {
    return {
      seed: options.seed,
      tokensPerChunk: options.tokensPerChunk,
      behaviour: behaviourOf(model, headerText(request, 'x-sim-behaviour')),
      answerTokens: headerNumber(request, 'x-sim-answer-tokens') ?? options.answerTokens,
      cachedTokens: headerNumber(request, 'x-sim-cached-tokens') ?? options.cachedTokens,
      spoilText: fault?.kind === 'invalid-utf8',
    };
  }

  return async (request, response) => {
    const endpoint = endpointOf(request);
    const exchange = begin(request, response, endpoint);
    try {
      await serve(exchange, endpoint);
    } catch (error) {
      if (response.headersSent || response.destroyed) return;
      const refusal =
        error instanceof ProviderError ? error : new ProviderError('server-error', String(error));
      const { status, headers, body } = endpoint.face.refuse(refusal, exchange.call.requestId);
      Object.assign(exchange.headers, headers);
      exchange.fault = undefined;
      await sendWhole(exchange, status, headers['content-type'] ?? 'application/json', body);
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
      throw new ProviderError('server-error', 'The server had an error while processing the request.', {
        ...(fault.status !== undefined && { status: fault.status }),
      });
    case 'unavailable':
      throw overloaded(fault);
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

function parseJson(bytes: Buffer): JsonObject {
  try {
    const body: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as JsonObject;
  } catch {
    // Told below, in the provider's words, as for JSON that is not an object.
  }
  throw invalidRequest('The body of the request is not a JSON object.');
}

/** A request header as one text. */
function headerText(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function headerNumber(request: IncomingMessage, name: string): number | undefined {
  const text = headerText(request, name);
  const number = Number(text);
  return text === undefined || !Number.isInteger(number) || number < 0 ? undefined : number;
}

function headerFault(request: IncomingMessage): Fault | undefined {
  const line = headerText(request, 'x-sim-fault');
  if (line === undefined) return undefined;
  try {
    return parseFault(line);
  } catch {
    throw invalidRequest(`'x-sim-fault: ${line}' is not a fault.`);
  }
}
