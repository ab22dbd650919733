import type { Saying } from '../model-call.ts';
import type { ProviderError } from '../provider-error.ts';
import type { Bill, StreamFrame, StreamReply } from '../send.ts';

interface ChatOptions {
  readonly model: string;
  readonly createdAt: string;
  readonly saying: Saying;
  readonly bill: Bill;
  /** False leaves the counts out. */
  readonly tellUsage: boolean;
  readonly errorLine: (error: ProviderError) => string;
}

/** Nanoseconds that a token takes here, read and made. */
const readNsPerToken = 100_000;
const makeNsPerToken = 10_000_000;
const loadNs = 1_000_000;

/** The body of a whole reply. */
export function chatJson(options: ChatOptions): string {
  const { saying } = options;
  const thinking = saying.thoughts.join('');
  const message = {
    role: 'assistant',
    content: saying.answer.kind === 'text' ? saying.answer.text : '',
    ...(thinking !== '' && { thinking }),
    ...toolCalls(saying),
  };
  return JSON.stringify({ ...head(options), message, ...ending(options) });
}

/** The reply as lines of JSON. */
export function chatStream(options: ChatOptions): StreamReply {
  return {
    contentType: 'application/x-ndjson',
    pieces: options.saying.answer.kind === 'tool-call' ? 1 : options.saying.pieces.length,
    frames: lines(options),
    bill: options.bill,
    malformed: () => '{"model":"sim","message":{"role":"assis\n',
    errorFrame: options.errorLine,
  };
}

function* lines(options: ChatOptions): Generator<StreamFrame> {
  const { saying } = options;
  const { answer, thoughts, pieces, reasoningTokens, tokens } = saying;
  const line = (message: object): string =>
    `${JSON.stringify({ ...head(options), message: { role: 'assistant', content: '', ...message }, done: false })}\n`;
  for (const [nth, thinking] of thoughts.entries()) {
    const made = Math.round((reasoningTokens * (nth + 1)) / thoughts.length);
    yield { data: line({ thinking }), carries: 'thought', tokens: made };
  }
  if (answer.kind === 'tool-call') {
    yield { data: line(toolCalls(saying)), carries: 'content', tokens, completesTool: true };
  }
  for (const [nth, content] of (answer.kind === 'text' ? pieces : []).entries()) {
    const made = Math.round(((tokens - reasoningTokens) * (nth + 1)) / pieces.length);
    yield { data: line({ content }), carries: 'content', tokens: reasoningTokens + made };
  }
  const message = { role: 'assistant', content: '' };
  const data = `${JSON.stringify({ ...head(options), message, ...ending(options) })}\n`;
  yield { data, carries: 'done', tokens, tellsUsage: options.tellUsage };
}

function head({ model, createdAt }: ChatOptions): object {
  return { model, created_at: createdAt };
}

function ending({ saying, bill, tellUsage }: ChatOptions): object {
  const { inputTokens, outputTokens } = bill.served;
  const [readNs, makeNs] = [inputTokens * readNsPerToken, outputTokens * makeNsPerToken];
  return {
    done: true,
    done_reason: saying.finish === 'length' ? 'length' : 'stop',
    total_duration: loadNs + readNs + makeNs,
    load_duration: loadNs,
    ...(tellUsage && { prompt_eval_count: inputTokens }),
    prompt_eval_duration: readNs,
    ...(tellUsage && { eval_count: outputTokens }),
    eval_duration: makeNs,
  };
}

function toolCalls({ answer, callId }: Saying): object {
  if (answer.kind !== 'tool-call') return {};
  const args: unknown = JSON.parse(answer.argumentsJson);
  return {
    tool_calls: [{ id: toolCallId(callId), function: { index: 0, name: answer.name, arguments: args } }],
  };
}

export function toolCallId(callId: string): string {
  return `call_${callId.slice(0, 8)}`;
}
