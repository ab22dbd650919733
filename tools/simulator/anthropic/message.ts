import type { Saying } from '../model-call.ts';
import type { Bill, StreamFrame, StreamReply } from '../send.ts';
import { type ServedTokens, uncachedInput } from '../served.ts';
import { anthropicError } from './face.ts';
import { signatureOf } from './signature.ts';

export interface MessageIdentity {
  readonly id: string;
  readonly model: string;
}

interface MessageOptions {
  readonly identity: MessageIdentity;
  readonly saying: Saying;
  readonly bill: Bill;
  readonly thoughtsOmitted: boolean;
  /** False leaves the final usage out. */
  readonly tellUsage: boolean;
}

const stopReasons = {
  end: 'end_turn',
  stop: 'stop_sequence',
  length: 'max_tokens',
  'tool-call': 'tool_use',
} as const;

/** Usage as the API tells it: input is what was neither read from nor written to the cache. */
export function messageUsage(served: ServedTokens): Record<string, unknown> {
  return {
    input_tokens: uncachedInput(served),
    cache_creation_input_tokens: served.cacheWrite5mTokens + served.cacheWrite1hTokens,
    cache_read_input_tokens: served.cachedReadTokens,
    cache_creation: {
      ephemeral_5m_input_tokens: served.cacheWrite5mTokens,
      ephemeral_1h_input_tokens: served.cacheWrite1hTokens,
    },
    output_tokens: served.outputTokens,
    output_tokens_details: { thinking_tokens: served.reasoningTokens },
    server_tool_use: null,
    service_tier: 'standard',
    inference_geo: 'not_available',
    speed: null,
  };
}

/** The body of a whole message. */
export function messageJson({ identity, saying, bill, thoughtsOmitted, tellUsage }: MessageOptions): string {
  const { answer, thoughts } = saying;
  const content: object[] = [];
  if (thoughts.length > 0) content.push(thinkingBlock(thoughts, thoughtsOmitted));
  if (answer.kind === 'tool-call') content.push(toolUse(saying, JSON.parse(answer.argumentsJson)));
  else if (answer.text !== '') content.push(textBlock(answer.text));
  return JSON.stringify({
    ...skeleton(identity),
    content,
    ...ending(saying),
    ...(tellUsage && { usage: bill.wireUsage(bill.served) }),
  });
}

/** The message as a stream of typed events. */
export function messageStream(options: MessageOptions): StreamReply {
  return {
    contentType: 'text/event-stream; charset=utf-8',
    pieces: options.saying.pieces.length,
    frames: messageEvents(options),
    bill: options.bill,
    malformed: () =>
      'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type\n\n',
    errorFrame: (error) => event({ ...anthropicError(error), type: 'error' }),
  };
}

function* messageEvents({
  identity,
  saying,
  bill,
  thoughtsOmitted,
  tellUsage,
}: MessageOptions): Generator<StreamFrame> {
  const { answer, thoughts, pieces, reasoningTokens } = saying;
  const usage = messageUsage({ ...bill.served, outputTokens: 1, reasoningTokens: 0 });
  const start = { ...skeleton(identity), content: [], stop_reason: null, stop_sequence: null, usage };
  yield { data: event({ type: 'message_start', message: start }), carries: 'start', tokens: 0 };

  let index = 0;
  if (thoughts.length > 0) {
    yield* thinkingEvents(thoughts, thoughtsOmitted, reasoningTokens);
    index += 1;
  }
  if (answer.kind === 'tool-call' || pieces.length > 0) {
    const block = answer.kind === 'tool-call' ? toolUse(saying, {}) : textBlock('');
    const open = { type: 'content_block_start', index, content_block: block };
    yield { data: event(open), carries: 'start', tokens: reasoningTokens };
    if (index === 0) yield { data: event({ type: 'ping' }), carries: 'start', tokens: reasoningTokens };
    for (const [nth, piece] of pieces.entries()) {
      const delta =
        answer.kind === 'tool-call'
          ? { type: 'input_json_delta', partial_json: piece }
          : { type: 'text_delta', text: piece };
      const made = ((saying.tokens - reasoningTokens) * (nth + 1)) / pieces.length;
      const data = event({ type: 'content_block_delta', index, delta });
      yield { data, carries: 'content', tokens: reasoningTokens + Math.round(made) };
    }
    yield { data: event({ type: 'content_block_stop', index }), carries: 'start', tokens: saying.tokens };
  }
  const last = {
    type: 'message_delta',
    delta: { container: null, stop_details: null, ...ending(saying) },
    ...(tellUsage && { usage: finalUsage(bill.served) }),
  };
  yield { data: event(last), carries: 'finish', tokens: saying.tokens, tellsUsage: tellUsage };
  yield { data: event({ type: 'message_stop' }), carries: 'done', tokens: saying.tokens };
}

function* thinkingEvents(
  thoughts: readonly string[],
  omitted: boolean,
  reasoningTokens: number,
): Generator<StreamFrame> {
  const block = { type: 'thinking', thinking: '', signature: '' };
  const open = { type: 'content_block_start', index: 0, content_block: block };
  yield { data: event(open), carries: 'start', tokens: 0 };
  yield { data: event({ type: 'ping' }), carries: 'start', tokens: 0 };
  for (const [nth, thinking] of (omitted ? [] : thoughts).entries()) {
    const tokens = Math.round((reasoningTokens * (nth + 1)) / thoughts.length);
    const delta = { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking } };
    yield { data: event(delta), carries: 'thought', tokens };
  }
  const signature = signatureOf(thoughts.join(''));
  const signed = { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature } };
  yield { data: event(signed), carries: 'start', tokens: reasoningTokens };
  yield { data: event({ type: 'content_block_stop', index: 0 }), carries: 'start', tokens: reasoningTokens };
}

/** The last event's usage lacks what only the first one tells. */
function finalUsage(served: ServedTokens): object {
  const { cache_creation: _, service_tier, inference_geo, speed, ...counts } = messageUsage(served);
  return counts;
}

function skeleton({ id, model }: MessageIdentity): object {
  return { id, type: 'message', role: 'assistant', model, container: null, stop_details: null };
}

function ending({ finish, stopText }: Saying): object {
  return { stop_reason: stopReasons[finish], stop_sequence: stopText ?? null };
}

function textBlock(text: string): object {
  return { type: 'text', text, citations: null };
}

function thinkingBlock(thoughts: readonly string[], omitted: boolean): object {
  const thinking = thoughts.join('');
  return { type: 'thinking', thinking: omitted ? '' : thinking, signature: signatureOf(thinking) };
}

function toolUse({ answer, callId }: Saying, input: unknown): object {
  const name = answer.kind === 'tool-call' ? answer.name : '';
  return { type: 'tool_use', id: toolUseId(callId), name, input, caller: { type: 'direct' } };
}

export function toolUseId(callId: string): string {
  return `toolu_${callId}`;
}

function event(data: { readonly type: string; readonly [field: string]: unknown }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}
