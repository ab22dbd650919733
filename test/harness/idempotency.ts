import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Receiver {
  /** What OPENAI_BASE_URL takes. */
  readonly url: string;
  /** Calls so far. */
  count(): number;
  stop(): Promise<void>;
}

/** A provider that answers each call of a model with another answer, and counts them. */
export async function createReceiver(): Promise<Receiver> {
  let calls = 0;
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      calls++;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          id: `call-${calls}`,
          object: 'chat.completion',
          created: 1,
          model: 'm',
          choices: [
            { index: 0, message: { role: 'assistant', content: `Answer ${calls}.` }, finish_reason: 'stop' },
          ],
          usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
        }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    count: () => calls,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
