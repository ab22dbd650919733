import {
  bytesOf,
  closeOwnHalf,
  type Exchange,
  hang,
  nextTurn,
  pause,
  resetConnection,
  tear,
  write,
} from './exchange.ts';
import type { Fault } from './faults.ts';
import { sendGzipBomb } from './gzip-bomb.ts';
import type { Saying } from './model-call.ts';
import type { Pace } from './options.ts';
import { ProviderError } from './provider-error.ts';
import { type ServedTokens, servedSoFar } from './served.ts';

/** One write of a stream, framing included. `tokens` is how many output tokens are out once it is. */
export interface StreamFrame {
  readonly data: string | Buffer;
  /** Only `content` counts as a chunk. `done` is what a stream without its end lacks. */
  readonly carries: 'start' | 'thought' | 'content' | 'finish' | 'usage' | 'done';
  readonly tokens: number;
  /** The wire's final usage is in this frame. */
  readonly tellsUsage?: boolean;
  /** A tool call is complete with this frame, though the answer is not. */
  readonly completesTool?: boolean;
}

/** A streamed answer in some wire format. */
export interface StreamReply {
  readonly contentType: string;
  /** Content frames, to know where the middle is. */
  readonly pieces: number;
  readonly frames: Iterable<StreamFrame>;
  readonly bill: Bill;
  /** A frame that no parser takes. */
  readonly malformed: () => string | Buffer;
  /** The provider's error as it comes inside a stream. */
  readonly errorFrame: (error: ProviderError) => string | Buffer;
}

/** What a call costs, by class and in the wire's own shape. */
export interface Bill {
  readonly served: ServedTokens;
  readonly wireUsage: (served: ServedTokens) => unknown;
}

const sendsPart: ReadonlySet<Fault['kind']> = new Set([
  'cut-mid-stream',
  'hang-mid-stream',
  'reset-mid-stream',
  'half-close',
]);

const mayStrike: ReadonlySet<StreamFrame['carries']> = new Set(['content', 'finish', 'done']);

/** The error that an `error-event` or `unavailable` fault gives. */
export function overloaded({ status, retryAfterS }: Partial<Fault>): ProviderError {
  return new ProviderError('overloaded', 'The model is overloaded. Try again later.', {
    ...(status !== undefined && { status }),
    ...(retryAfterS !== undefined && { retryAfterS }),
  });
}

/** Sends an answer that is not streamed. `told` says whether the body holds the usage. */
export async function sendReply(exchange: Exchange, body: string, bill: Bill, told = true): Promise<void> {
  const { call, fault } = exchange;
  if (fault?.kind === 'error-event') throw overloaded(fault);
  const usage = bill.wireUsage(bill.served);
  call.served = bill.served;
  call.billed = usage;
  const arrives = fault === undefined || !(sendsPart.has(fault.kind) || spoilsAll.has(fault.kind));
  if (told && arrives) call.usage = usage;
  if (arrives) for (const toolCall of call.toolCalls) toolCall.whole = true;
  await sendWhole(exchange, 200, 'application/json', body);
}

const spoilsAll: ReadonlySet<Fault['kind']> = new Set(['malformed', 'hang-before-first-token', 'gzip-bomb']);

/** Sends a whole reply with its length, unless the exchange's fault tears, stops or breaks it on the way. */
export async function sendWhole(
  exchange: Exchange,
  status: number,
  contentType: string,
  body: string,
): Promise<void> {
  const { response, call, fault } = exchange;
  if (response.destroyed) return;
  const bytes = spoiledBody(body, fault);
  call.status = status;
  const headers = { ...exchange.headers, 'content-type': contentType };
  if (fault?.kind === 'gzip-bomb') return sendGzipBomb(exchange, headers, '{"');
  response.writeHead(status, { ...headers, 'content-length': bytes.length });
  if (fault?.kind === 'hang-before-first-token') {
    response.flushHeaders();
    return hang(exchange);
  }
  if (fault && sendsPart.has(fault.kind)) {
    await write(exchange, bytes.subarray(0, Math.floor(bytes.length / 2)));
    return breakOff(exchange);
  }
  call.replyBytes += bytes.length;
  response.end(bytes);
}

/**
 * Sends an answer as a stream, each frame its own write, waiting for a slow reader and stopping when the client
 * leaves. The journal entry grows as it goes: chunks, bytes, and the bill for what was made so far.
 */
export async function sendStream(exchange: Exchange, reply: StreamReply, pace: Pace): Promise<void> {
  const { response, call, fault } = exchange;
  if (response.destroyed) return;
  call.status = 200;
  const headers = { ...exchange.headers, 'content-type': reply.contentType };
  if (fault?.kind === 'gzip-bomb') return sendGzipBomb(exchange, headers, 'data: ');
  response.writeHead(200, headers);
  response.flushHeaders();
  exchange.changed();
  if (fault?.kind === 'hang-before-first-token') return hang(exchange);
  const slowMs = fault?.kind === 'slow-first-token' ? (fault.delayMs ?? 2_000) : 0;
  await pause(response, pace.firstTokenMs + slowMs);
  const faultAt = fault?.afterChunks ?? Math.floor(reply.pieces / 2);

  for (const frame of reply.frames) {
    // Past the last content chunk the fault is due as well, so that a short answer does not escape it.
    const due = call.chunks >= faultAt && mayStrike.has(frame.carries);
    if (due && (await strike(exchange, reply))) return;
    if (frame.carries === 'done' && fault?.kind === 'missing-done') break;
    if (!(await write(exchange, frame.data))) return;
    note(exchange, reply, frame);
    if (frame.carries === 'content' || frame.carries === 'thought')
      await (pace.chunkDelayMs > 0 ? pause(response, pace.chunkDelayMs) : nextTurn());
  }
  response.end();
}

/** Notes the tool call an answer makes, before it is sent. */
export function noteToolCall({ call }: Exchange, { answer }: Saying, id: string): void {
  if (answer.kind !== 'tool-call') return;
  call.toolCalls.push({ id, name: answer.name, argumentsJson: answer.argumentsJson, whole: false });
}

function note({ call, changed }: Exchange, { bill }: StreamReply, frame: StreamFrame): void {
  if (frame.carries === 'content') call.chunks += 1;
  if (frame.carries === 'finish' || frame.completesTool)
    for (const toolCall of call.toolCalls) toolCall.whole = true;
  call.served = servedSoFar(bill.served, frame.tokens);
  call.billed = bill.wireUsage(call.served);
  if (frame.tellsUsage) call.usage = bill.wireUsage(bill.served);
  changed();
}

/** Does what the mid-stream fault says. True when that was the end of the reply. */
async function strike(exchange: Exchange, reply: StreamReply): Promise<boolean> {
  const { fault } = exchange;
  if (fault === undefined) return false;
  if (sendsPart.has(fault.kind)) {
    await breakOff(exchange);
    return true;
  }
  if (fault.kind === 'error-event') {
    exchange.broken = true;
    await write(exchange, reply.errorFrame(overloaded(fault)));
    exchange.response.end();
    return true;
  }
  if (fault.kind === 'malformed') {
    await write(exchange, reply.malformed());
    exchange.fault = undefined;
  }
  return false;
}

/** Ends a reply of which part has been written, the way the fault says. */
async function breakOff(exchange: Exchange): Promise<void> {
  await nextTurn();
  switch (exchange.fault?.kind) {
    case 'cut-mid-stream':
      return tear(exchange);
    case 'reset-mid-stream':
      return resetConnection(exchange);
    case 'half-close':
      return closeOwnHalf(exchange);
    default:
      return hang(exchange);
  }
}

/** JSON that a parser must refuse, its second half missing; or a text that is not UTF-8. */
function spoiledBody(body: string, fault: Fault | undefined): Buffer {
  if (fault?.kind === 'malformed') return bytesOf(body.slice(0, Math.floor(body.length / 2)));
  const bytes = bytesOf(body);
  if (fault?.kind !== 'invalid-utf8' || bytes.includes(0xff)) return bytes;
  // An answer without words (vectors, lists) is spoiled inside its last string.
  const at = Math.max(0, bytes.lastIndexOf('"'));
  return Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff, 0xfe, 0xc0]), bytes.subarray(at)]);
}
