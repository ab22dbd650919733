import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { type Dispatcher, Pool } from 'undici';
import { isLocalAddress, type Provider } from '../../routing/index.ts';
import type {
  FailureKind,
  Upstream,
  UpstreamExchange,
  UpstreamFailure,
  UpstreamReceiver,
  UpstreamRequest,
  UpstreamTimeouts,
} from '../upstream.ts';
import { providerWires } from './provider-wires.ts';

/** Connections to one provider. HTTP/1.1 carries one stream each, and a thousand streams at once are to be expected. */
const connectionsPerProvider = 1_024;
/** Pools kept open; the one that was used longest ago is closed, gracefully, for a new one. */
const maxPools = 500;

interface Wire {
  readonly pool: Pool;
  readonly pathPrefix: string;
  readonly headers: readonly string[];
}

/**
 * Providers that speak the dialect of the call get its bytes as they came. One pool of connections for each provider,
 * so that one cannot starve another.
 */
export function createNativeUpstream(timeouts: UpstreamTimeouts): Upstream {
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
    send(request, receiver) {
      const { call, target } = request;
      const wire = wireTo(target.provider);
      const exchange = new Exchange(receiver);
      wire.pool.dispatch(
        {
          path: wire.pathPrefix + pathOf(request),
          method: 'POST',
          headers: headersOf(wire, request),
          body: call.request.bodyFor(target),
        },
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
    if (!this.#over && status >= 200) this.#receiver.head(status, headers);
  }
  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#over) this.#receiver.data(chunk);
  }
  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = true;
    this.#receiver.end();
  }
  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#receiver.failed(failureOf(error));
  }

  get sent(): boolean {
    return this.#controller !== null;
  }
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#controller?.abort(new AbortedError());
  }
  pause(): void {
    this.#controller?.pause();
  }
  resume(): void {
    this.#controller?.resume();
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

function openWire(provider: Provider, timeouts: UpstreamTimeouts): Wire {
  const url = new URL(provider.baseUrl);
  const pool = new Pool(url.origin, {
    connections: connectionsPerProvider,
    pipelining: 1,
    headersTimeout: timeouts.firstByteMs,
    bodyTimeout: timeouts.idleMs,
    connect: {
      timeout: timeouts.connectMs,
      ...(provider.localAddressesAllowed ? {} : { lookup: lookUpRemote }),
    },
  });
  return {
    pool,
    pathPrefix: url.pathname.replace(/\/+$/, ''),
    headers: [
      'content-type',
      'application/json',
      'accept',
      'application/json, text/event-stream',
      'user-agent',
      'gatehouse',
    ],
  };
}

function pathOf({ call, target }: UpstreamRequest): string {
  const path = providerWires[target.provider.kind].nativePath(call.dialect.name, target);
  if (path === null) throw new Error(`${target.provider.kind} does not speak ${call.dialect.name}`);
  return path;
}

function headersOf(wire: Wire, request: UpstreamRequest): string[] {
  const { correlationId, traceparent } = request.call.caller;
  const auth = providerWires[request.target.provider.kind].authHeaders(request.key);
  const headers = [...wire.headers, ...auth, 'x-correlation-id', correlationId];
  if (traceparent !== undefined) headers.push('traceparent', traceparent);
  return headers;
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
