import { readFileSync } from 'node:fs';
import { createSecureContext, getCACertificates } from 'node:tls';
import { Agent, FormData, fetch, type Response } from 'undici';
import type { Clock } from '../platform/clock.ts';
import { type ClientConfig, type Environment, loadClientConfig } from '../platform/config.ts';
import { AppError } from '../platform/errors.ts';
import { noServer, refusalOf, ServerRefusal, ServerUnreachable } from './client-errors.ts';
import type { ServerValues } from './client-options.ts';
import { UsageError } from './command.ts';
import { readServerSentEvents, type ServerSentEvent } from './server-sent-events.ts';

export interface ClientSettings extends ClientConfig {
  /** Id or slug that an owner acts in; null: the key's own tenant. */
  readonly tenant: string | null;
  readonly clock: Pick<Clock, 'sleep'>;
}

export interface CallOptions {
  readonly body?: object | FormData;
  readonly signal?: AbortSignal;
  /**
   * How often a call that met 429, 503 or no server is repeated; 0 when left out. Only for calls that may safely
   * happen twice.
   */
  readonly retries?: number;
  /** Instead of `body`, for one that can be read only once, such as a file's. */
  readonly bodyForEachAttempt?: () => Promise<FormData>;
}

/** Calls one Gatehouse over HTTP. */
export interface Client {
  readonly url: string;
  readonly hasKey: boolean;
  /**
   * @returns the JSON of the answer; null when it has no body.
   * @throws ServerUnreachable, or ServerRefusal for every status but 2xx.
   */
  call(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, options?: CallOptions): Promise<unknown>;
  /** Posts and reads the answer event by event. @throws as `call` does. */
  stream(path: string, body: object, signal: AbortSignal): AsyncGenerator<ServerSentEvent>;
  close(): Promise<void>;
}

/** An answer that waits for a model may take this long to begin. */
const answerBeginsWithinMs = 300_000;
/** Waits between attempts when the server names none: 1, 2, 4, 8 … seconds. */
const firstWaitMs = 1_000;
/** A server that asks for more patience than this is not waited for. */
const longestWaitMs = 60_000;
const largestAnswer = 64 * 1024 * 1024;

/** @throws UsageError on a malformed `--url`, AppError `config_invalid` on malformed variables or certificates. */
export function createClientFor(
  values: ServerValues,
  environment: Environment,
  clock: Pick<Clock, 'sleep'>,
): Client {
  const config = loadClientConfig(environment);
  if (
    values.url !== undefined &&
    !/^https?:$/.test(URL.canParse(values.url) ? new URL(values.url).protocol : '')
  ) {
    throw new UsageError(`"${values.url}" is not an address; one looks like http://127.0.0.1:8080`);
  }
  return createClient({
    url: (values.url ?? config.url).replace(/\/+$/, ''),
    apiKey: values.key ?? config.apiKey,
    caFile: values.ca ?? config.caFile,
    tenant: values.tenant ?? null,
    clock,
  });
}

/** Does `work` with a client that is closed however it ends. @throws as `createClientFor` and `work` do. */
export async function withClient<T>(
  values: ServerValues,
  { environment, clock }: { readonly environment: Environment; readonly clock: Pick<Clock, 'sleep'> },
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = createClientFor(values, environment, clock);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** @throws AppError `config_invalid` when the file of certificates cannot be used. */
export function createClient(settings: ClientSettings): Client {
  const { url, apiKey, tenant, clock } = settings;
  const agent = new Agent({
    headersTimeout: answerBeginsWithinMs,
    bodyTimeout: answerBeginsWithinMs,
    ...(settings.caFile === null ? {} : { connect: { ca: trusting(settings.caFile) } }),
  });

  const send = async (
    method: string,
    path: string,
    accept: string,
    body: object | FormData | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Response> => {
    let response: Response;
    try {
      response = await fetch(url + path, {
        method,
        headers: {
          accept,
          ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}),
          ...(tenant ? { 'x-tenant-id': tenant } : {}),
          ...(body === undefined || body instanceof FormData ? {} : { 'content-type': 'application/json' }),
        },
        // A key goes to the address that was named and nowhere else.
        redirect: 'manual',
        dispatcher: agent,
        ...(signal ? { signal } : {}),
        ...(body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) }),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw ownReadProblem(cause) ?? noServer(url, cause);
    }
    if (!response.ok) throw await refusalOf(response, { url, hasKey: apiKey !== null });
    return response;
  };

  const once = async (method: string, path: string, options: CallOptions): Promise<unknown> => {
    const body = options.bodyForEachAttempt ? await options.bodyForEachAttempt() : options.body;
    const response = await send(method, path, 'application/json', body, options.signal);
    try {
      return await readJson(response, url);
    } catch (cause) {
      options.signal?.throwIfAborted();
      throw cause instanceof ServerUnreachable ? cause : noServer(url, cause);
    }
  };

  return {
    url,
    hasKey: apiKey !== null,
    async call(method, path, options = {}) {
      const retries = options.retries ?? 0;
      for (let attempt = 0; ; attempt++) {
        try {
          return await once(method, path, options);
        } catch (error) {
          const waitMs = waitBefore(attempt + 1, error);
          if (attempt >= retries || waitMs === null) throw error;
          await clock.sleep(waitMs, options.signal);
        }
      }
    },
    async *stream(path, body, signal) {
      const response = await send('POST', path, 'text/event-stream', body, signal);
      try {
        if (response.body) yield* readServerSentEvents(response.body);
      } catch (cause) {
        signal.throwIfAborted();
        throw cause instanceof TypeError ? noServer(url, cause) : cause;
      }
    },
    close: () => agent.destroy(),
  };
}

/** What Node.js trusts already, and the certificates in the file. */
function trusting(path: string): string[] {
  try {
    const ca = readFileSync(path, 'utf8');
    if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('there is no certificate in it');
    createSecureContext({ ca });
    return [...getCACertificates('default'), ca];
  } catch (cause) {
    throw new AppError(
      'config_invalid',
      `${path} must hold certificates in PEM (--ca or GATEHOUSE_CA_FILE): ${(cause as Error).message}`,
      { cause },
    );
  }
}

/** @returns milliseconds to wait before the attempt of this number (from 1), or null when it would be no use. */
function waitBefore(attempt: number, error: unknown): number | null {
  const passing =
    error instanceof ServerUnreachable ||
    (error instanceof ServerRefusal && (error.status === 429 || error.status === 503));
  if (!passing) return null;
  const named = error instanceof ServerRefusal ? error.retryAfterSeconds : null;
  const waitMs = named === null ? firstWaitMs * 2 ** (attempt - 1) : named * 1_000;
  return waitMs <= longestWaitMs ? waitMs : null;
}

/** A body that could not be read on this side, such as a file that changed meanwhile, is no fault of the server's. */
function ownReadProblem(error: unknown): Error | null {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    if (at.name === 'NotReadableError') return at;
    at = at.cause;
  }
  return null;
}

async function readJson(response: Response, url: string): Promise<unknown> {
  if (response.status === 204) return null;
  if (!/\bjson\b/.test(response.headers.get('content-type') ?? '')) {
    await response.body?.cancel();
    throw new ServerUnreachable(`What answers at ${url} is not a Gatehouse. Check --url or GATEHOUSE_URL.`);
  }
  const declared = Number(response.headers.get('content-length') ?? 0);
  if (declared > largestAnswer) {
    await response.body?.cancel();
    throw new ServerUnreachable(`The answer of ${url} is too large (${declared} bytes).`);
  }
  return response.json();
}
