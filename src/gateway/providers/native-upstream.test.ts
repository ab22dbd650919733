import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Principal } from '../../access/index.ts';
import { systemClock } from '../../platform/clock.ts';
import type { Provider } from '../../routing/index.ts';
import type { ModelCall } from '../model-call.ts';
import type { UpstreamFailure } from '../upstream.ts';
import { createUpstream } from './upstream.ts';

let server: Server;
let port: number;
let requests = 0;
const upstream = createUpstream({ connectMs: 1_000, firstByteMs: 1_000, idleMs: 1_000 }, systemClock);

beforeAll(async () => {
  server = createServer((request, response) => {
    requests++;
    response.end(request.headers.authorization);
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

/** @returns the reply's body, or how the exchange failed. */
function ask(provider: Provider): Promise<string | UpstreamFailure> {
  const caller = { principal: {} as Principal, correlationId: 'correlation-1' };
  const request = { bodyFor: () => Buffer.from('{}') };
  const call = { caller, dialect: { name: 'openai-chat' }, request } as unknown as ModelCall;
  return new Promise((resolve) => {
    let text = '';
    upstream.send(
      { call, target: { tier: 'primary', provider, model: 'm', weight: 1 }, key: provider.keys[0] ?? null },
      {
        head: () => {},
        data: (chunk) => {
          text += chunk.toString();
        },
        end: () => resolve(text),
        failed: resolve,
      },
    );
  });
}

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
