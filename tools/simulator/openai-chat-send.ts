import { type Exchange, hang, nextTurn, pause, sendWhole, tear, write } from './exchange.ts';
import { type ChatReply, partialUsage } from './openai-chat.ts';
import { completionJson, type ReplyIdentity, type StreamEvent, streamEvents } from './openai-chat-wire.ts';

/** How fast a stream runs, in milliseconds. */
export interface StreamPace {
  readonly firstTokenMs: number;
  readonly chunkDelayMs: number;
}

/** Sends a reply that is not streamed. */
export async function sendCompletion(
  exchange: Exchange,
  reply: ChatReply,
  identity: ReplyIdentity,
): Promise<void> {
  const { call, fault } = exchange;
  const usage = fault?.kind === 'no-usage' ? undefined : reply.usage;
  call.billed = reply.usage;
  if (usage && fault?.kind !== 'malformed' && !endsMidway(exchange)) call.usage = usage;
  await sendWhole(exchange, 200, 'application/json', completionJson(reply, identity, usage));
}

/**
 * Sends a reply as server-sent events, each its own write, waiting for a slow reader and stopping when the client
 * leaves. The journal entry grows as it goes: chunks, bytes, and the bill for what was made so far.
 */
export async function sendStream(
  exchange: Exchange,
  reply: ChatReply,
  identity: ReplyIdentity,
  options: StreamPace & { readonly includeUsage: boolean },
): Promise<void> {
  const { response, call, fault } = exchange;
  if (response.destroyed) return;
  call.status = 200;
  response.writeHead(200, { ...exchange.headers, 'content-type': 'text/event-stream; charset=utf-8' });
  response.flushHeaders();
  await pause(response, options.firstTokenMs);
  const usage = options.includeUsage && fault?.kind !== 'no-usage' ? reply.usage : undefined;
  const pieces = reply.choices.reduce((total, choice) => total + choice.pieces.length, 0);
  const faultAt = fault?.afterChunks ?? Math.floor(pieces / 2);

  for (const event of streamEvents(reply, identity, usage)) {
    // Past the last content chunk the fault is due as well, so that a short answer does not escape it.
    const due = call.chunks >= faultAt && (event.carries === 'content' || event.carries === 'finish');
    if (due && (await strike(exchange, identity))) return;
    if (event.carries === 'done' && fault?.kind === 'missing-done') break;
    if (!(await write(exchange, `data: ${event.data}\n\n`))) return;
    note(exchange, reply, event);
    if (event.carries === 'content')
      await (options.chunkDelayMs > 0 ? pause(response, options.chunkDelayMs) : nextTurn());
  }
  response.end();
}

function note({ call, changed }: Exchange, reply: ChatReply, event: StreamEvent): void {
  if (event.carries === 'content') call.chunks += 1;
  if (event.carries === 'usage') call.usage = reply.usage;
  call.billed = partialUsage(reply.usage, event.tokens);
  changed();
}

/** Does what the mid-stream fault says. True when that was the end of the reply. */
async function strike(exchange: Exchange, identity: ReplyIdentity): Promise<boolean> {
  switch (exchange.fault?.kind) {
    case 'cut-mid-stream':
      await nextTurn();
      tear(exchange);
      return true;
    case 'hang-mid-stream':
      await hang(exchange);
      return true;
    case 'malformed':
      await write(exchange, `data: {"id":"${identity.id}","choices":[{"delta":{"content":"\n\n`);
      exchange.fault = undefined;
      return false;
    default:
      return false;
  }
}

function endsMidway({ fault }: Exchange): boolean {
  return fault?.kind === 'cut-mid-stream' || fault?.kind === 'hang-mid-stream';
}
