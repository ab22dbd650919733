import { signatureOf } from '../anthropic/signature.ts';
import type { Saying } from '../model-call.ts';
import type { Bill, StreamFrame, StreamReply } from '../send.ts';
import { type ServedTokens, uncachedInput } from '../served.ts';
import { corrupted, eventFrame, exceptionFrame } from './event-stream.ts';
import { exceptionTypeOf, messageOf } from './face.ts';

interface ConverseOptions {
  readonly saying: Saying;
  readonly bill: Bill;
  /** Whether the caller wants to see the stop text. */
  readonly tellStop: boolean;
  /** False leaves the usage out. */
  readonly tellUsage: boolean;
}

const stopReasons = {
  end: 'end_turn',
  stop: 'stop_sequence',
  length: 'max_tokens',
  'tool-call': 'tool_use',
} as const;

/** Usage as the API tells it: input is what was neither read from nor written to the cache, the total is all. */
export function converseUsage(served: ServedTokens): Record<string, unknown> {
  const { cacheWrite5mTokens: fiveMinutes, cacheWrite1hTokens: hour } = served;
  const details = [
    { inputTokens: hour, ttl: '1h' },
    { inputTokens: fiveMinutes, ttl: '5m' },
  ].filter(({ inputTokens }) => inputTokens > 0);
  return {
    inputTokens: uncachedInput(served),
    outputTokens: served.outputTokens,
    totalTokens: served.inputTokens + served.outputTokens,
    cacheReadInputTokens: served.cachedReadTokens,
    cacheWriteInputTokens: fiveMinutes + hour,
    ...(details.length > 0 && { cacheDetails: details }),
  };
}

/** The body of a whole reply. */
export function converseJson(options: ConverseOptions): string {
  const { saying, bill, tellUsage } = options;
  const { answer, thoughts } = saying;
  const content: object[] = [];
  if (thoughts.length > 0) {
    const text = thoughts.join('');
    content.push({ reasoningContent: { reasoningText: { text, signature: signatureOf(text) } } });
  }
  if (answer.kind === 'tool-call') {
    const input: unknown = JSON.parse(answer.argumentsJson);
    content.push({ toolUse: { toolUseId: toolUseId(saying.callId), name: answer.name, input } });
  } else content.push({ text: answer.text });
  return JSON.stringify({
    output: { message: { role: 'assistant', content } },
    ...ending(options),
    ...(tellUsage && { usage: bill.wireUsage(bill.served) }),
    metrics: { latencyMs: 1 },
  });
}

/** The reply as an AWS event stream. */
export function converseStream(options: ConverseOptions): StreamReply {
  const delta = { contentBlockIndex: 0, delta: { text: '' } };
  return {
    contentType: 'application/vnd.amazon.eventstream',
    pieces: options.saying.pieces.length,
    frames: converseEvents(options),
    bill: options.bill,
    malformed: () => corrupted(event('contentBlockDelta', delta)),
    errorFrame: (error) => exceptionFrame(exceptionTypeOf(error), { message: messageOf(error) }),
  };
}

function* converseEvents(options: ConverseOptions): Generator<StreamFrame> {
  const { saying, bill, tellUsage } = options;
  const { answer, thoughts, pieces, reasoningTokens, tokens } = saying;
  yield start(event('messageStart', { role: 'assistant' }), 0);
  let index = 0;
  if (thoughts.length > 0) {
    yield* reasoningEvents(thoughts, reasoningTokens);
    index += 1;
  }
  if (answer.kind === 'tool-call') {
    const toolUse = { toolUseId: toolUseId(saying.callId), name: answer.name };
    yield start(
      event('contentBlockStart', { contentBlockIndex: index, start: { toolUse } }),
      reasoningTokens,
    );
  }
  for (const [nth, piece] of pieces.entries()) {
    const delta = answer.kind === 'tool-call' ? { toolUse: { input: piece } } : { text: piece };
    const made = Math.round(((tokens - reasoningTokens) * (nth + 1)) / pieces.length);
    const data = event('contentBlockDelta', { contentBlockIndex: index, delta });
    yield { data, carries: 'content', tokens: reasoningTokens + made };
  }
  yield { data: event('contentBlockStop', { contentBlockIndex: index }), carries: 'finish', tokens };
  yield { data: event('messageStop', ending(options)), carries: 'done', tokens };
  const usage = { ...(tellUsage && { usage: bill.wireUsage(bill.served) }) };
  const data = event('metadata', { ...usage, metrics: { latencyMs: 1 } });
  yield { data, carries: 'usage', tokens, tellsUsage: tellUsage };
}

function* reasoningEvents(thoughts: readonly string[], reasoningTokens: number): Generator<StreamFrame> {
  const delta = (reasoningContent: object): Buffer =>
    event('contentBlockDelta', { contentBlockIndex: 0, delta: { reasoningContent } });
  for (const [nth, text] of thoughts.entries()) {
    const tokens = Math.round((reasoningTokens * (nth + 1)) / thoughts.length);
    yield { data: delta({ text }), carries: 'thought', tokens };
  }
  yield start(delta({ signature: signatureOf(thoughts.join('')) }), reasoningTokens);
  yield start(event('contentBlockStop', { contentBlockIndex: 0 }), reasoningTokens);
}

function ending({ saying, tellStop }: ConverseOptions): object {
  const { finish, stopText } = saying;
  const fields = tellStop && stopText !== undefined && { delta: { stop_sequence: stopText } };
  return { stopReason: stopReasons[finish], ...(fields && { additionalModelResponseFields: fields }) };
}

/** `p` is padding of a varying length, against those who measure frames from outside. */
function event(type: string, payload: object): Buffer {
  return eventFrame(type, { ...payload, p: 'abcdefghijklmnop'.slice(0, 4 + (type.length % 12)) });
}

function start(data: Buffer, tokens: number): StreamFrame {
  return { data, carries: 'start', tokens };
}

export function toolUseId(callId: string): string {
  return `tooluse_${callId}`;
}
