import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface LoadBalancer {
  readonly url: string;
  /** Addresses that take requests now. */
  ready(): readonly string[];
  stop(): Promise<void>;
}

const lookEveryMs = 100;

/**
 * Passes requests on to those of the addresses whose readiness says yes, in turn, over connections that it keeps. What
 * fails it neither tries again nor hides: it answers 502.
 */
export async function startLoadBalancer(addresses: readonly string[]): Promise<LoadBalancer> {
  const agent = new Agent({ keepAlive: true, maxSockets: 100 });
  let ready: readonly string[] = [];
  let turn = 0;
  let stopped = false;

  const isReady = (address: string): Promise<boolean> =>
    fetch(`${address}/health/ready`, { signal: AbortSignal.timeout(1_000) }).then(
      (reply) => reply.body?.cancel().then(() => reply.ok) ?? reply.ok,
      () => false,
    );
  const look = async () => {
    const found = await Promise.all(addresses.map(isReady));
    ready = addresses.filter((_, i) => found[i]);
  };
  const looking = (async () => {
    while (!stopped) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
  })();

  const server = createServer((incoming, outgoing) => {
    turn += 1;
    const target = ready[turn % Math.max(1, ready.length)];
    const fail = (why: string) => {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502).end(why);
    };
    if (target === undefined) return fail('nobody is ready');
    const { method, url, headers } = incoming;
    const onward = request(`${target}${url}`, { method, headers, agent }, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.on('error', (error) => fail(String(error)));
      reply.pipe(outgoing);
    });
    onward.on('error', (error) => fail(`${target}: ${error}`));
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ready: () => ready,
    async stop() {
      stopped = true;
      await looking;
      agent.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
