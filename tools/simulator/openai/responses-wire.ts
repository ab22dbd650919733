import type { Saying } from '../model-call.ts';
import type { ProviderError } from '../provider-error.ts';
import type { Bill, StreamFrame, StreamReply } from '../send.ts';
import type { ServedTokens } from '../served.ts';
import { openAiError } from './face.ts';

export interface ResponseOptions {
  readonly id: string;
  readonly model: string;
  /** Unix seconds. */
  readonly createdS: number;
  readonly saying: Saying;
  readonly bill: Bill;
  readonly encryptThoughts: boolean;
  readonly echo: Record<string, unknown>;
  /** False leaves the usage out. */
  readonly tellUsage: boolean;
}

type Status = 'in_progress' | 'completed' | 'incomplete' | 'failed';

/** Usage as the API tells it. */
export function responsesUsage(served: ServedTokens): Record<string, unknown> {
  return {
    input_tokens: served.inputTokens,
    input_tokens_details: {
      cached_tokens: served.cachedReadTokens,
      cache_write_tokens: served.cacheWrite5mTokens + served.cacheWrite1hTokens,
    },
    output_tokens: served.outputTokens,
    output_tokens_details: { reasoning_tokens: served.reasoningTokens },
    total_tokens: served.inputTokens + served.outputTokens,
  };
}

/** The body of a whole response. */
export function responseJson(options: ResponseOptions): string {
  return JSON.stringify(finished(options));
}

/** The response as its stream of typed events; there is no `[DONE]`. */
export function responseStream(options: ResponseOptions): StreamReply {
  const numbered = createNumbering();
  return {
    contentType: 'text/event-stream; charset=utf-8',
    pieces: options.saying.pieces.length,
    frames: responseEvents(options, numbered),
    bill: options.bill,
    malformed: () => 'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","del\n\n',
    errorFrame(error) {
      // The frame that was due has its number already, and is not sent.
      numbered.takeBack();
      return failed(options, error, numbered);
    },
  };
}

interface Numbered {
  (event: { readonly type: string; readonly [field: string]: unknown }): string;
  takeBack(): void;
}

/** Frames an event with the next sequence number, from 0. */
function createNumbering(): Numbered {
  let next = 0;
  const numbered = ({ type, ...fields }: { readonly type: string; readonly [field: string]: unknown }) => {
    const data = { type, sequence_number: next, ...fields };
    next += 1;
    return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
  };
  const takeBack = (): void => {
    next -= 1;
  };
  return Object.assign(numbered, { takeBack });
}

function* responseEvents(options: ResponseOptions, numbered: Numbered): Generator<StreamFrame> {
  const { saying, tellUsage } = options;
  const { reasoningTokens, tokens } = saying;
  const begun = skeleton(options, 'in_progress', []);
  yield start(numbered({ type: 'response.created', response: begun }), 0);
  yield start(numbered({ type: 'response.in_progress', response: begun }), 0);
  let index = 0;
  if (reasoningTokens > 0) {
    yield* reasoningEvents(options, numbered);
    index += 1;
  }
  if (saying.answer.kind === 'tool-call') yield* callEvents(options, index, numbered);
  else if (saying.pieces.length > 0) yield* messageEvents(options, index, numbered);
  const response = finished(options);
  const data = numbered({ type: `response.${response.status}`, response });
  yield { data, carries: 'done', tokens, tellsUsage: tellUsage };
}

function* reasoningEvents(options: ResponseOptions, numbered: Numbered): Generator<StreamFrame> {
  const { thoughts, reasoningTokens } = options.saying;
  const item = reasoningItem(options);
  const at = { item_id: item.id, output_index: 0 };
  const empty = { ...item, summary: [] };
  yield start(numbered({ type: 'response.output_item.added', output_index: 0, item: empty }), 0);
  if (thoughts.length > 0) {
    const within = { ...at, summary_index: 0 };
    const part = { type: 'summary_text', text: '' };
    yield start(numbered({ type: 'response.reasoning_summary_part.added', ...within, part }), 0);
    for (const [nth, delta] of thoughts.entries()) {
      const data = numbered({ type: 'response.reasoning_summary_text.delta', ...within, delta });
      yield { data, carries: 'thought', tokens: Math.round((reasoningTokens * (nth + 1)) / thoughts.length) };
    }
    const text = thoughts.join('');
    yield start(numbered({ type: 'response.reasoning_summary_text.done', ...within, text }), reasoningTokens);
    const whole = { type: 'summary_text', text };
    const done = numbered({ type: 'response.reasoning_summary_part.done', ...within, part: whole });
    yield start(done, reasoningTokens);
  }
  yield start(numbered({ type: 'response.output_item.done', output_index: 0, item }), reasoningTokens);
}

function* messageEvents(options: ResponseOptions, index: number, numbered: Numbered): Generator<StreamFrame> {
  const { pieces, reasoningTokens, tokens } = options.saying;
  const item = messageItem(options);
  const within = { item_id: item.id, output_index: index, content_index: 0 };
  const empty = { ...item, status: 'in_progress', content: [] };
  yield start(
    numbered({ type: 'response.output_item.added', output_index: index, item: empty }),
    reasoningTokens,
  );
  const part = outputText('');
  yield start(numbered({ type: 'response.content_part.added', ...within, part }), reasoningTokens);
  for (const [nth, delta] of pieces.entries()) {
    const data = numbered({ type: 'response.output_text.delta', ...within, delta, logprobs: [] });
    yield { data, carries: 'content', tokens: soFar(options.saying, nth + 1) };
  }
  const text = pieces.join('');
  yield start(numbered({ type: 'response.output_text.done', ...within, text, logprobs: [] }), tokens);
  const whole = outputText(text);
  yield start(numbered({ type: 'response.content_part.done', ...within, part: whole }), tokens);
  const data = numbered({ type: 'response.output_item.done', output_index: index, item });
  yield { data, carries: 'finish', tokens };
}

function* callEvents(options: ResponseOptions, index: number, numbered: Numbered): Generator<StreamFrame> {
  const { saying } = options;
  const item = callItem(saying);
  const within = { item_id: item.id, output_index: index };
  const empty = { ...item, status: 'in_progress', arguments: '' };
  const added = numbered({ type: 'response.output_item.added', output_index: index, item: empty });
  yield start(added, saying.reasoningTokens);
  for (const [nth, delta] of saying.pieces.entries()) {
    const data = numbered({ type: 'response.function_call_arguments.delta', ...within, delta });
    yield { data, carries: 'content', tokens: soFar(saying, nth + 1) };
  }
  const { arguments: argumentsJson, name } = item;
  const done = { type: 'response.function_call_arguments.done', ...within, name, arguments: argumentsJson };
  yield start(numbered(done), saying.tokens);
  const data = numbered({ type: 'response.output_item.done', output_index: index, item });
  yield { data, carries: 'finish', tokens: saying.tokens };
}

/** The error by itself and then the response that failed by it, as the API sends them. */
function failed(options: ResponseOptions, error: ProviderError, numbered: Numbered): string {
  const { message, param, code } = openAiError(error);
  const told = { code: code ?? 'server_error', message };
  const response = { ...skeleton(options, 'failed', []), error: told };
  return numbered({ type: 'error', ...told, param }) + numbered({ type: 'response.failed', response });
}

function finished(options: ResponseOptions): { status: Status } {
  const { saying, bill, tellUsage } = options;
  const status = saying.finish === 'length' ? 'incomplete' : 'completed';
  const output: object[] = [];
  if (saying.reasoningTokens > 0) output.push(reasoningItem(options));
  if (saying.answer.kind === 'tool-call') output.push(callItem(saying));
  else if (saying.pieces.length > 0) output.push(messageItem(options));
  return {
    ...skeleton(options, status, output),
    ...(status === 'incomplete' && { incomplete_details: { reason: 'max_output_tokens' } }),
    ...(tellUsage && { usage: bill.wireUsage(bill.served) }),
  };
}

function skeleton(options: ResponseOptions, status: Status, output: readonly object[]) {
  const { id, model, createdS, echo } = options;
  return {
    id,
    object: 'response',
    created_at: createdS,
    status,
    background: false,
    completed_at: status === 'completed' ? createdS : null,
    error: null,
    incomplete_details: null,
    model,
    output,
    ...echo,
    safety_identifier: null,
    prompt_cache_key: null,
    service_tier: 'default',
    top_logprobs: 0,
    usage: null,
  };
}

function reasoningItem({ saying, encryptThoughts }: ResponseOptions) {
  const { thoughts, callId } = saying;
  const text = thoughts.join('');
  return {
    id: `rs_${callId}`,
    type: 'reasoning',
    summary: text === '' ? [] : [{ type: 'summary_text', text }],
    ...(encryptThoughts && { encrypted_content: Buffer.from(`simulator/${callId}`).toString('base64') }),
  };
}

function messageItem({ saying }: ResponseOptions) {
  const text = saying.answer.kind === 'text' ? saying.answer.text : '';
  const status = saying.finish === 'length' ? 'incomplete' : 'completed';
  const content = [outputText(text)];
  return { id: `msg_${saying.callId}`, type: 'message', status, role: 'assistant', content };
}

function callItem({ answer, callId }: Saying) {
  const { name, argumentsJson } = answer.kind === 'tool-call' ? answer : { name: '', argumentsJson: '' };
  return {
    id: `fc_${callId}`,
    type: 'function_call',
    status: 'completed',
    arguments: argumentsJson,
    call_id: `call_${callId}`,
    name,
  };
}

function outputText(text: string): object {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

function soFar({ tokens, reasoningTokens, pieces }: Saying, sent: number): number {
  return reasoningTokens + Math.round(((tokens - reasoningTokens) * sent) / pieces.length);
}

function start(data: string, tokens: number): StreamFrame {
  return { data, carries: 'start', tokens };
}
