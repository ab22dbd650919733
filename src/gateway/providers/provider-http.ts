import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import type { Transform } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
import { isLocalAddress, type Provider } from '../../routing/index.ts';
import type {
  FailureKind,
  UpstreamExchange,
  UpstreamFailure,
  UpstreamReceiver,
  UpstreamTimeouts,
} from '../upstream.ts';
import { openDecoder } from './content-decoding.ts';

/** Calls to one provider at once, where nothing else is set: a thousand streams are to be expected. */
const callsPerProvider = 1_024;
/** Pools kept open; the one that was used longest ago is closed, gracefully, for a new one. */
const maxPools = 500;

export interface ProviderRequest {
  /** Below the provider's base URL, with its leading slash. */
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: string | Uint8Array;
}

/**
 * The one way out of the process to a provider: its base URL and what lies below it, no other address; no redirects
 * are followed. Replies come decompressed, whatever they were sent as.
 */
export interface ProviderHttp {
  /** Never throws: what goes wrong is told to the receiver. */
  send(provider: Provider, request: ProviderRequest, receiver: UpstreamReceiver): UpstreamExchange;
  /** Cuts what is still open. */
  stop(): Promise<void>;
}

interface Wire {
  readonly pool: Pool;
  readonly pathPrefix: string;
}

/** One pool of connections for each provider, so that one cannot starve another. */
export function createProviderHttp(timeouts: UpstreamTimeouts): ProviderHttp {
  const wires = new Map<Provider, Wire>();

  const wireTo = (provider: Provider): Wire => {
    const known = wires.get(provider);
    if (known) return known;
    const wire = openWire(provider, timeouts);
    wires.set(provider, wire);
    if (wires.size > maxPools) {
      const [oldest] = wires;
      if (oldest) {
        wires.delete(oldest[0]);
        oldest[1].pool.close().catch(() => {});
      }
    }
    return wire;
  };

  return {
    send(provider, { path, headers, body }, receiver) {
      const wire = wireTo(provider);
      const exchange = new Exchange(receiver);
      wire.pool.dispatch(
        { path: wire.pathPrefix + path, method: 'POST', headers: headers as string[], body },
        exchange,
      );
      return exchange;
    },
    async stop() {
      const open = [...wires.values()];
      wires.clear();
      await Promise.all(open.map((wire) => wire.pool.destroy(new StoppedError())));
    },
  };
}

/** Follows one exchange. A class, because there is one for each call and its methods are not to be made each time. */
class Exchange implements Dispatcher.DispatchHandler, UpstreamExchange {
  readonly facts = null;
  readonly #receiver: UpstreamReceiver;
  #controller: Dispatcher.DispatchController | null = null;
  #decoder: Transform | null = null;
  #over = false;

  constructor(receiver: UpstreamReceiver) {
    this.#receiver = receiver;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new AbortedError());
  }
  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (this.#over || status < 200) return;
    const encoding = headers['content-encoding'];
    if (encoding === undefined) this.#receiver.head(status, headers);
    else this.#startDecoding(status, headers, encoding);
  }
  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return;
    if (this.#decoder === null) this.#receiver.data(chunk);
    else if (!this.#decoder.write(chunk)) controller.pause();
  }
  onResponseEnd(): void {
    if (this.#over) return;
    if (this.#decoder === null) this.#end();
    else this.#decoder.end();
  }
  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#fail(failureOf(error));
  }

  get sent(): boolean {
    return this.#controller !== null;
  }
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#decoder?.destroy();
    this.#controller?.abort(new AbortedError());
  }
  pause(): void {
    if (this.#decoder === null) this.#controller?.pause();
    else this.#decoder.pause();
  }
  resume(): void {
    if (this.#decoder === null) this.#controller?.resume();
    else this.#decoder.resume();
  }

  /** A paused decoder takes no more, and so holds the connection back in its turn. */
  #startDecoding(
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    encoding: string | string[],
  ): void {
    const decoder = openDecoder(encoding);
    if (decoder === undefined) {
      this.#fail({
        kind: 'malformed',
        cause: new Error(`the reply has the content-encoding ${encoding}, which is not known here`),
      });
      return;
    }
    const { 'content-encoding': _encoding, 'content-length': _length, ...rest } = headers;
    this.#receiver.head(status, rest);
    this.#decoder = decoder;
    decoder
      ?.on('data', (chunk: Buffer) => {
        if (!this.#over) this.#receiver.data(chunk);
      })
      .on('drain', () => this.#controller?.resume())
      .on('end', () => this.#end())
      .on('error', (cause) => this.#fail({ kind: 'malformed', cause }));
  }
  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#receiver.end();
  }
  #fail(failure: UpstreamFailure): void {
    if (this.#over) return;
    this.#over = true;
    this.#decoder?.destroy();
    // Without effect when the connection is what failed.
    this.#controller?.abort(failure.cause);
    this.#receiver.failed(failure);
  }
}

class AbortedError extends Error {}
class StoppedError extends Error {}

const failureKinds: Readonly<Record<string, FailureKind>> = {
  UND_ERR_CONNECT_TIMEOUT: 'connect_timeout',
  UND_ERR_HEADERS_TIMEOUT: 'first_byte_timeout',
  UND_ERR_BODY_TIMEOUT: 'idle_timeout',
};

function failureOf(error: Error): UpstreamFailure {
  if (error instanceof StoppedError) return { kind: 'stopped', cause: error };
  const { code } = error as { code?: unknown };
  return { kind: failureKinds[typeof code === 'string' ? code : ''] ?? 'connection', cause: error };
}

function openWire(provider: Provider, defaults: UpstreamTimeouts): Wire {
  const url = new URL(provider.baseUrl);
  const own = provider.settings.timeouts ?? {};
  const pool = new Pool(url.origin, {
    // Twice as many as calls may be in flight: a connection is of use again only when its provider has ended the reply,
    // which may be a while after the mark that ends a stream, and nobody is to wait for that.
    connections: 2 * Math.max(callsPerProvider, provider.settings.maxConcurrent ?? 0),
    pipelining: 1,
    headersTimeout: own.firstTokenMs ?? defaults.firstByteMs,
    bodyTimeout: own.idleMs ?? defaults.idleMs,
    connect: {
      timeout: own.connectMs ?? defaults.connectMs,
      ...(provider.localAddressesAllowed ? {} : { lookup: lookUpRemote }),
    },
  });
  return { pool, pathPrefix: url.pathname.replace(/\/+$/, '') };
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void;

/** Looks a name up, and refuses what leads to this machine or a metadata service: names can change what they mean. */
function lookUpRemote(hostname: string, options: LookupOptions, callback: LookupCallback): void {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    const [first] = addresses ?? [];
    if (error || !first) return callback(error ?? new Error(`${hostname} has no address`), '', 0);
    if (addresses.some(({ address }) => isLocalAddress(address))) {
      return callback(
        new Error(`${hostname} leads to a local address, which this provider may not use`),
        '',
        0,
      );
    }
    if (options.all) callback(null, addresses);
    else callback(null, first.address, first.family);
  });
}
