import type { IncomingMessage, ServerResponse } from 'node:http';
import { bytesOf, pause } from './exchange.ts';
import { replyToChat } from './openai/chat.ts';
import { parseChatRequest } from './openai/chat-request.ts';
import { completionJson, streamEvents } from './openai/chat-wire.ts';
import type { Pace } from './options.ts';
import type { StreamFrame } from './send.ts';

/**
 * The upstream for benchmarks: one fixed answer, serialised once, with the same usage each time. Requests are read to
 * their end but not parsed; only whether they ask for a stream and for usage is looked for in their text. Models,
 * faults and tools play no part; calls are counted, not kept.
 */
export function createFastChat(deps: {
  readonly seed: number;
  readonly answerTokens: number;
  readonly tokensPerChunk: number;
  readonly createdS: number;
  readonly pace: () => Pace;
  readonly count: (call: { readonly stream: boolean; readonly aborted: boolean }) => void;
}): (request: IncomingMessage, response: ServerResponse) => void {
  const request = parseChatRequest({
    model: 'gpt-4o-mini',
    messages: [{ role: 'user', content: 'Say something.' }],
  });
  const reply = replyToChat(request, { ...deps, behaviour: 'honest', cachedTokens: 0 });
  const identity = { id: 'chatcmpl-sim-fast', created: deps.createdS };

  const body = Buffer.from(completionJson(reply, identity, reply.usage));
  const common = ['x-request-id', 'req_sim_fast', 'openai-processing-ms', '0'];
  const wholeHeaders = ['content-type', 'application/json', 'content-length', String(body.length), ...common];
  const streamHeaders = ['content-type', 'text/event-stream; charset=utf-8', ...common];
  const plainEvents = eventBuffers(streamEvents(reply, identity, undefined));
  const usageEvents = eventBuffers(streamEvents(reply, identity, reply.usage));

  async function answer(asked: string, response: ServerResponse): Promise<void> {
    const { latencyMs, firstTokenMs, chunkDelayMs } = deps.pace();
    if (latencyMs > 0) await pause(response, latencyMs);
    if (!/"stream"\s*:\s*true/u.test(asked)) {
      response.writeHead(200, wholeHeaders);
      response.end(body);
      return;
    }
    response.writeHead(200, streamHeaders);
    response.flushHeaders();
    if (firstTokenMs > 0) await pause(response, firstTokenMs);
    const events = /"include_usage"\s*:\s*true/u.test(asked) ? usageEvents : plainEvents;
    sendEvents(response, events, chunkDelayMs);
  }

  return (incoming, response) => {
    response.sendDate = false;
    let asked = '';
    incoming.setEncoding('latin1');
    incoming.on('data', (chunk: string) => {
      // The two switches stand in the first kilobytes or not at all; a large prompt need not be gathered.
      if (asked.length < 65_536) asked += chunk;
    });
    incoming.on('end', () => {
      void answer(asked, response);
    });
    response.on('close', () => {
      deps.count({ stream: /"stream"\s*:\s*true/u.test(asked), aborted: !response.writableFinished });
    });
  };
}

function eventBuffers(events: Iterable<StreamFrame>): Buffer[] {
  return Array.from(events, ({ data }) => bytesOf(data));
}

/** One event per turn of the loop or per delay, each its own write; waits for slow readers, ends with the client. */
function sendEvents(response: ServerResponse, events: readonly Buffer[], chunkDelayMs: number): void {
  let index = 0;
  const step = (): void => {
    const event = events[index];
    if (response.destroyed) return;
    if (event === undefined) {
      response.end();
      return;
    }
    index += 1;
    if (!response.write(event)) response.once('drain', step);
    else if (chunkDelayMs > 0) setTimeout(step, chunkDelayMs);
    else setImmediate(step);
  };
  step();
}
