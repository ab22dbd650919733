import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Exchange } from './exchange.ts';
import type { Answering } from './model-call.ts';
import type { FullOptions, Pace } from './options.ts';
import type { PromptCache } from './prompt-cache.ts';
import type { ProviderError } from './provider-error.ts';
import type { RateLimitReading } from './rate-limits.ts';
import type { Wire } from './wires.ts';

export type JsonObject = Record<string, unknown>;

/** How a provider shows itself around its answers. */
export interface Face {
  /** Headers on every reply. */
  headers(requestId: string): Record<string, string>;
  /** The key that the request brings, in the provider's own header or query parameter. */
  credential(request: IncomingMessage): string | undefined;
  /** Keys that are taken besides those the simulator was given. */
  accepts?(key: string): boolean;
  /** Throws ProviderError when the request lacks what the provider asks for on every call, keys aside. */
  check?(request: IncomingMessage, body: Buffer): void;
  refuse(
    error: ProviderError,
    requestId: string,
  ): { readonly status: number; readonly headers: Record<string, string>; readonly body: string };
  /** What a rate limit leaves, in the provider's own headers; `now` is in milliseconds since 1970. */
  limits(reading: RateLimitReading, now: number): Record<string, string>;
}

export interface Endpoint {
  readonly wire: Wire;
  readonly face: Face;
  readonly method: 'GET' | 'POST';
  /** The model, where the path names it. */
  readonly model?: string;
  /** True where the path says that the answer is streamed. */
  readonly stream?: boolean;
  /** Answers; `body` is empty for GET. Throws ProviderError. */
  readonly serve: (exchange: Exchange, body: JsonObject, service: Service) => Promise<void>;
}

export interface Provider {
  /** The endpoint at a path, whatever the method; undefined when the path is not this provider's. */
  find(url: URL, headers: IncomingHttpHeaders): Endpoint | undefined;
}

/** What every endpoint has of the simulator. */
export interface Service {
  readonly options: FullOptions;
  readonly promptCache: PromptCache;
  pace(): Pace;
  /**
   * What every call passes: the model list (unless `model` is undefined), the context window, the rate limits and the
   * latency.
   */
  admit(exchange: Exchange, model: string | undefined, promptTokens: number): Promise<void>;
  answering(exchange: Exchange, model: string): Answering;
}
