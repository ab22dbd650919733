import type { ProviderKey, Target } from '../../routing/index.ts';
import type { ModelCall } from '../model-call.ts';
import type { UpstreamExchange, UpstreamFailure, UpstreamReceiver } from '../upstream.ts';
import type { ProviderHttp } from './provider-http.ts';
import { providerWires } from './provider-wires.ts';
import { createStreamBound } from './stream-bound.ts';
import { traceHeaders } from './trace-headers.ts';

/** An exchange broke while a provider package was reading it. */
export class ExchangeFailed extends Error {
  readonly failure: UpstreamFailure;

  constructor(failure: UpstreamFailure) {
    super(failure.cause.message, { cause: failure.cause });
    this.failure = failure;
  }
}

/** @returns the failure of ours that a package's error goes back to; null when the provider's reply is to blame. */
export function failureBehind(error: unknown): UpstreamFailure | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    if (at instanceof ExchangeFailed) return at.failure;
  }
  return null;
}

/** Bytes of a reply that wait for the package to read them. */
const waitingBytes = 256 * 1024;
/** Embeddings of as many texts as OpenAI takes at once, from a model that takes one; a chat is one request or a few. */
const maxRequests = { chat: 16, embeddings: 2_048, count_tokens: 1 };

export interface ProviderFetch {
  readonly fetch: typeof globalThis.fetch;
  /** Whether a request has begun to leave. */
  readonly sent: boolean;
  readonly requests: number;
  abort(): void;
}

/**
 * The only way out that a provider package is given: to its provider's base URL over the connections of `http`. Sets
 * the provider's key and the call's ids, whatever the package sent in their place.
 */
export function createProviderFetch(
  http: ProviderHttp,
  call: ModelCall,
  { provider }: Target,
  key: ProviderKey | null,
): ProviderFetch {
  const replies: ReplyStream[] = [];
  let aborted = false;

  const toProvider: typeof globalThis.fetch = async (input, init = {}) => {
    if (aborted || replies.length === maxRequests[call.dialect.operation])
      throw new Error('the call may send no more requests');
    const path = pathBelow(provider.baseUrl, String(input));
    const { method, body } = init;
    if (method !== 'POST' || !isBody(body)) throw new Error('only bodies that are POSTed leave');
    const headers = [...headersOf(new Headers(init.headers), call, provider.kind, key)].flat();
    return new Promise<Response>((resolve, reject) => {
      const reply = new ReplyStream(call.dialect.maxReplyBytes, resolve, reject);
      replies.push(reply);
      reply.exchange = http.send(provider, { path, headers, body }, reply);
    });
  };

  return {
    fetch: toProvider,
    get sent() {
      return replies.some((reply) => reply.exchange?.sent);
    },
    get requests() {
      return replies.length;
    },
    abort() {
      aborted = true;
      for (const reply of replies) reply.cut();
    },
  };
}

/** @throws Error when it is not below the base URL, so that nothing in a call can send a key elsewhere. */
function pathBelow(baseUrl: string, url: string): string {
  const base = new URL(baseUrl);
  const wanted = new URL(url);
  const prefix = base.pathname.replace(/\/+$/, '');
  if (wanted.origin !== base.origin || !wanted.pathname.startsWith(`${prefix}/`)) {
    throw new Error(`${wanted.origin}${wanted.pathname} is not below the provider's base URL`);
  }
  return wanted.pathname.slice(prefix.length) + wanted.search;
}

/** The key is ours to set, but for Bedrock, whose package signs with it. */
function headersOf(
  headers: Headers,
  call: ModelCall,
  kind: Target['provider']['kind'],
  key: ProviderKey | null,
): Headers {
  if (kind !== 'bedrock') {
    for (const name of ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key']) headers.delete(name);
  }
  const ours = [...providerWires[kind].authHeaders(key), ...traceHeaders(call.caller)];
  for (let n = 0; n < ours.length; n += 2) headers.set(ours[n] ?? '', ours[n + 1] ?? '');
  return headers;
}

function isBody(body: unknown): body is string | Uint8Array {
  return typeof body === 'string' || body instanceof Uint8Array;
}

/** Makes a reply that comes in pieces a Response, read no faster than its reader reads. */
class ReplyStream implements UpstreamReceiver {
  exchange: UpstreamExchange | null = null;
  readonly #maxBytes: number;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: Error) => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #bound: (chunk: Buffer) => boolean = () => true;
  #over = false;

  constructor(maxBytes: number, resolve: (response: Response) => void, reject: (error: Error) => void) {
    this.#maxBytes = maxBytes;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  head(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void {
    const shown = new Headers();
    for (const [name, value] of Object.entries(headers)) {
      for (const one of [value ?? []].flat()) shown.append(name, one);
    }
    this.#bound = createStreamBound(shown.get('content-type') ?? '', this.#maxBytes);
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.exchange?.resume(),
        cancel: () => this.exchange?.abort(),
      },
      { highWaterMark: waitingBytes, size: (chunk) => chunk?.byteLength ?? 0 },
    );
    this.#resolve(new Response(status === 204 || status === 304 ? null : body, { status, headers: shown }));
  }

  data(chunk: Buffer): void {
    if (this.#over || this.#controller === null) return;
    if (!this.#bound(chunk)) {
      this.exchange?.abort();
      this.failed({ kind: 'too_large', cause: new Error('the reply is larger than is taken') });
      return;
    }
    this.#controller.enqueue(chunk);
    if ((this.#controller.desiredSize ?? 0) <= 0) this.exchange?.pause();
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#controller?.close();
  }

  failed(failure: UpstreamFailure): void {
    if (this.#over) return;
    this.#over = true;
    const error = new ExchangeFailed(failure);
    this.#reject(error);
    this.#controller?.error(error);
  }

  /** Nobody reads on: the exchange ends at once. */
  cut(): void {
    this.exchange?.abort();
    this.failed({ kind: 'connection', cause: new Error('the call has ended') });
  }
}
