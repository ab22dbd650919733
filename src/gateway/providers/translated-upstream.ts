import { AISDKError } from '@ai-sdk/provider';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { ReplyFacts } from '../model-call.ts';
import { limitHeaderNames } from '../resilience/provider-limits.ts';
import type { ReplyContext } from '../translation/translation.ts';
import type { Upstream, UpstreamExchange, UpstreamReceiver, UpstreamRequest } from '../upstream.ts';
import { createProviderFetch, failureBehind, type ProviderFetch } from './provider-fetch.ts';
import type { ProviderHttp } from './provider-http.ts';
import { ProviderRefused } from './provider-refused.ts';
import { providerWires } from './provider-wires.ts';
import { refusedFields, type TranslatedReceiver } from './translated-call.ts';
import { askChat } from './translated-chat.ts';
import { askEmbeddings } from './translated-embeddings.ts';

/** Providers that speak another dialect are asked in their own words, and answer in the caller's. */
export function createTranslatedUpstream(
  http: ProviderHttp,
  clock: Pick<Clock, 'now'>,
): Pick<Upstream, 'send'> {
  return {
    send(request, receiver) {
      const exchange = new TranslatedExchange(http, request, receiver);
      void exchange.run(Math.floor(clock.now().getTime() / 1000));
      return exchange;
    },
  };
}

class TranslatedExchange implements UpstreamExchange, TranslatedReceiver {
  begun = false;
  aborted = false;
  readonly #request: UpstreamRequest;
  readonly #receiver: UpstreamReceiver;
  readonly #fetch: ProviderFetch;
  #paused = false;
  #wake: (() => void) | null = null;
  #facts: (() => ReplyFacts) | null = null;

  constructor(http: ProviderHttp, request: UpstreamRequest, receiver: UpstreamReceiver) {
    this.#request = request;
    this.#receiver = receiver;
    this.#fetch = createProviderFetch(http, request.call, request.target, request.key);
  }

  async run(createdAt: number): Promise<void> {
    // Nothing is told to the receiver before it has been given this exchange.
    await null;
    try {
      await this.#ask(createdAt);
      if (!this.aborted) this.#receiver.end();
    } catch (error) {
      if (!this.aborted) this.#tell(error);
    }
  }

  get sent(): boolean {
    return this.#fetch.sent;
  }
  get facts(): ReplyFacts | null {
    return this.#facts?.() ?? null;
  }
  abort(): void {
    this.aborted = true;
    this.#fetch.abort();
    this.resume();
  }
  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
    this.#wake?.();
  }

  tellsFacts(facts: () => ReplyFacts): void {
    this.#facts = facts;
  }

  begin(contentType: string, headers: Readonly<Record<string, string>> | undefined): void {
    if (this.aborted) return;
    this.begun = true;
    this.#receiver.head(200, { 'content-type': contentType, ...requestId(headers), ...limitsTold(headers) });
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.aborted || bytes.length === 0) return;
    this.#receiver.data(bytes);
    while (this.#paused && !this.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #ask(createdAt: number): Promise<void> {
    const { call, target } = this.#request;
    const { translation } = call.dialect;
    const request = call.request.parsed();
    const context: ReplyContext = { callId: call.id, model: call.model, createdAt, request };
    const asked = {
      ...this.#request,
      provider: target.provider,
      context,
      fetch: this.#fetch,
      receiver: this,
    };
    const refused = providerWires[target.provider.kind].refusesModel?.(target.model) ?? null;
    if (refused !== null) throw refusedFields(asked, [{ path: 'model', message: refused }]);
    if (translation?.kind === 'chat') return askChat(asked, translation);
    if (translation?.kind === 'embeddings') return askEmbeddings(asked, translation);
    if (translation?.kind === 'own') {
      this.begin('application/json', undefined);
      return this.write(translation.answer(request));
    }
    const message = `cannot be asked of ${target.provider.kind} providers`;
    throw new AppError('invalid', `${call.dialect.name} ${message}.`, {
      errors: [{ path: 'model', message }],
    });
  }

  #tell(error: unknown): void {
    const broken = failureBehind(error);
    if (broken) this.#receiver.failed(broken);
    else if (error instanceof ProviderRefused && !this.begun) this.#refuse(error);
    else if (error instanceof AppError) this.#receiver.failed({ kind: 'unsupported', cause: error });
    else {
      this.#receiver.failed({ kind: 'malformed', cause: withoutContents(error) });
    }
    this.abort();
  }

  /** Shown as this dialect's clients know refusals. */
  #refuse(refused: ProviderRefused): void {
    const { translation } = this.#request.call.dialect;
    const { status, headers } = refused;
    const shown: Record<string, string> = { 'content-type': 'application/json', ...requestId(headers) };
    Object.assign(shown, limitsTold(headers));
    for (const name of ['retry-after', 'retry-after-ms']) {
      const value = headers?.[name];
      if (value !== undefined) shown[name] = value;
    }
    this.#receiver.head(status, shown);
    if (translation && translation.kind !== 'own') this.#receiver.data(translation.writeError(refused));
    this.#receiver.end();
  }
}

/**
 * What a log may be told. The packages' errors carry the request and the reply, in members, in causes and in their very
 * messages; their names say what was wrong.
 */
function withoutContents(error: unknown): Error {
  if (error instanceof ProviderRefused) return new Error(`the provider refused with ${error.status}`);
  if (!AISDKError.isInstance(error)) return error instanceof Error ? error : new Error('not an error');
  const names: string[] = [];
  for (let at: unknown = error; at instanceof Error && names.length < 5; at = at.cause) names.push(at.name);
  return new Error(`the reply could not be read: ${names.join(', ')}`);
}

/** For routing, not for the caller, whom the provider's limits do not concern. */
function limitsTold(headers: Readonly<Record<string, string>> | undefined): Record<string, string> {
  const told: Record<string, string> = {};
  if (headers === undefined) return told;
  for (const name of limitHeaderNames) {
    const value = headers[name];
    if (value !== undefined) told[name] = value;
  }
  return told;
}

/** Providers call it by different names. */
function requestId(headers: Readonly<Record<string, string>> | undefined): Record<string, string> {
  const id = headers?.['x-request-id'] ?? headers?.['request-id'] ?? headers?.['x-amzn-requestid'];
  return id === undefined ? {} : { 'x-request-id': id };
}
