import { garbled, type Reply, readStream, readWhole } from './reply.ts';
import type { Ask, Pairing } from './scenario.ts';

const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
const tool = { name: 'book_room', description: 'Books a room.', parameters };
const question = 'Please book a room in Oslo, and tell me about the harbour.';

/** @returns path and body of a request in that dialect. */
export function requestOf(
  dialect: Pairing['dialect'],
  ask: Ask,
  number: number,
): { path: string; body: Record<string, unknown> } {
  const content = `${question} (${number})`;
  const stream = ask.streamed;
  switch (dialect) {
    case 'chat':
      return {
        path: '/v1/chat/completions',
        body: {
          model: 'fast',
          stream,
          messages: [{ role: 'user', content }],
          ...(ask.tool ? { tools: [{ type: 'function', function: tool }], tool_choice: 'required' } : {}),
        },
      };
    case 'responses':
      return {
        path: '/v1/responses',
        body: {
          model: 'fast',
          stream,
          store: false,
          input: content,
          ...(ask.tool
            ? { tools: [{ type: 'function', strict: false, ...tool }], tool_choice: 'required' }
            : {}),
          ...(ask.actsByItself ? { tools: [{ type: 'web_search' }] } : {}),
        },
      };
    case 'messages':
      return {
        path: '/v1/messages',
        body: {
          model: 'fast',
          stream,
          max_tokens: 400,
          messages: [{ role: 'user', content }],
          ...(ask.tool
            ? {
                tools: [{ name: tool.name, description: tool.description, input_schema: parameters }],
                tool_choice: { type: 'any' },
              }
            : {}),
          ...(ask.actsByItself ? { tools: [{ type: 'web_search_20250305', name: 'web_search' }] } : {}),
        },
      };
  }
}

/** Asks as a caller would, and reads what comes to its end, or leaves. */
export async function askOnce(
  url: string,
  dialect: Pairing['dialect'],
  ask: Ask,
  number: number,
  correlationId: string,
): Promise<Reply> {
  const { path, body } = requestOf(dialect, ask, number);
  const leaving = new AbortController();
  try {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-correlation-id': correlationId },
      body: JSON.stringify(body),
      signal: leaving.signal,
    });
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
    if (!isStream) return readWhole(dialect, response.status, await response.text());
    if (ask.leaves) {
      await response.body?.getReader().read();
      leaving.abort();
      return { kind: 'left', toolCalls: [], words: '' };
    }
    return readStream(dialect, await response.text());
  } catch (error) {
    return garbled(String(error instanceof Error ? (error.cause ?? error) : error));
  }
}
