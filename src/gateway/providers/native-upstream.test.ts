import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Principal } from '../../access/index.ts';
import { systemClock } from '../../platform/clock.ts';
import type { Provider } from '../../routing/index.ts';
import type { ModelCall } from '../model-call.ts';
import type { UpstreamExchange, UpstreamFailure, UpstreamReceiver } from '../upstream.ts';
import { createUpstream } from './upstream.ts';

let server: Server;
let port: number;
let requests = 0;
const bodies: Record<string, Buffer> = {
  '/gzip/chat/completions': gzipSync('{"choices":[]}'),
  '/bomb/chat/completions': gzipSync(Buffer.alloc(64 * 1024 * 1024)),
  '/half/chat/completions': gzipSync('{"choices":[]}').subarray(0, 20),
};
const upstream = createUpstream({ connectMs: 1_000, firstByteMs: 1_000, idleMs: 1_000 }, systemClock);

beforeAll(async () => {
  server = createServer((request, response) => {
    requests++;
    const body = bodies[request.url ?? ''];
    if (body) response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': body.length });
    response.end(body ?? request.headers.authorization);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(async () => {
  await upstream.stop();
  server.close();
});

const providerAt = (baseUrl: string, localAddressesAllowed: boolean): Provider => ({
  id: `${baseUrl} ${localAddressesAllowed}`,
  tenantId: null,
  name: 'p',
  kind: 'openai',
  baseUrl,
  keys: [{ value: 'sk-test', hint: null, weight: 1 }],
  keyProblem: null,
  settings: {},
  localAddressesAllowed,
  source: 'stored',
  createdAt: new Date(0),
});

function send(provider: Provider, receiver: UpstreamReceiver): UpstreamExchange {
  const caller = { principal: {} as Principal, correlationId: 'correlation-1' };
  const request = { bodyFor: () => Buffer.from('{}') };
  const call = { caller, dialect: { name: 'openai-chat' }, request } as unknown as ModelCall;
  const target = { tier: 'primary', provider, model: 'm', weight: 1 };
  return upstream.send({ call, target, key: provider.keys[0] ?? null }, receiver);
}

/** @returns the reply's body, or how the exchange failed. */
function ask(provider: Provider): Promise<string | UpstreamFailure> {
  return new Promise((resolve) => {
    let text = '';
    send(provider, {
      head: () => {},
      data: (chunk) => {
        text += chunk.toString();
      },
      end: () => resolve(text),
      failed: resolve,
    });
  });
}

describe('a reply that comes compressed, although nobody asked', () => {
  const at = (path: string) => providerAt(`http://127.0.0.1:${port}/${path}`, true);

  it('is given as what it was before', async () => {
    expect(await ask(at('gzip'))).toBe('{"choices":[]}');
  });

  it('fails when it is not whole', async () => {
    expect(await ask(at('half'))).toMatchObject({ kind: 'malformed' });
  });

  it('comes in pieces that whoever bounds it can count, and unfolds no further once nobody wants it', async () => {
    let bytes = 0;
    const largest = await new Promise<number>((resolve) => {
      const exchange = send(at('bomb'), {
        head: () => {},
        data(chunk) {
          bytes += chunk.length;
          if (bytes < 1024 * 1024) return;
          exchange.abort();
          resolve(chunk.length);
        },
        end: () => resolve(Number.POSITIVE_INFINITY),
        failed: () => resolve(Number.POSITIVE_INFINITY),
      });
    });
    expect(largest).toBeLessThanOrEqual(64 * 1024);
    expect(bytes).toBeLessThan(2 * 1024 * 1024);
  });
});

describe('a provider of a tenant', () => {
  it('is not reached when its name leads to this machine, which only connecting tells', async () => {
    const before = requests;
    const outcome = await ask(providerAt(`http://localhost:${port}/v1`, false));
    expect(outcome).toMatchObject({
      kind: 'connection',
      cause: { message: expect.stringContaining('local address') },
    });
    expect(requests).toBe(before);
  });

  it('is reached there when an owner set it up', async () => {
    expect(await ask(providerAt(`http://localhost:${port}/v1`, true))).toBe('Bearer sk-test');
  });
});
