import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface RawUpstream {
  /** A provider's base URL. */
  readonly url: string;
  stop(): Promise<void>;
}

/** A provider that does exactly what a test says, byte for byte; the request's body is read first. */
export async function startRawUpstream(
  answer: (response: ServerResponse, request: IncomingMessage, body: Buffer) => void,
): Promise<RawUpstream> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => answer(response, request, Buffer.concat(parts)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
