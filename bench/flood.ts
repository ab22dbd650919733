import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A provider that never stops talking and is as fast as it is read, as OpenAI (`/v1/chat/completions`) and as Anthropic
 * (`/v1/messages`): for readers who cannot keep up. Prints its address; `GET /figures` tells what it sent and when each
 * reader left, by correlation id.
 */
const words = 'x'.repeat(64 * 1024);
const anthropicStart = [
  {
    type: 'message_start',
    message: {
      ...{
        id: 'msg_flood',
        type: 'message',
        role: 'assistant',
        model: 'flood',
        content: [],
        stop_reason: null,
      },
      usage: { input_tokens: 10, output_tokens: 1 },
    },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
];
const events = {
  openai: Buffer.from(
    `data: ${JSON.stringify({ id: 'flood', object: 'chat.completion.chunk', created: 1, model: 'flood', choices: [{ index: 0, delta: { content: words }, finish_reason: null }] })}\n\n`,
  ),
  anthropic: named({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: words } }),
};

let sent = 0;
const leftAt: Record<string, number> = {};

function named(event: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}

function flood(response: ServerResponse, event: Buffer): void {
  const more = (): void => {
    while (!response.destroyed) {
      sent += event.length;
      if (!response.write(event)) break;
    }
    if (!response.destroyed) response.once('drain', more);
  };
  more();
}

const server = createServer((request, response) => {
  if (request.url === '/figures') {
    response.end(JSON.stringify({ sent, leftAt }));
    return;
  }
  request.resume();
  request.on('end', () => {
    const id = String(request.headers['x-correlation-id']);
    response.on('close', () => {
      leftAt[id] = Date.now();
    });
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (request.url?.startsWith('/v1/messages')) {
      for (const event of anthropicStart) response.write(named(event));
      flood(response, events.anthropic);
    } else flood(response, events.openai);
  });
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
