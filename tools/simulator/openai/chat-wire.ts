import type { Saying } from '../model-call.ts';
import type { Bill, StreamFrame, StreamReply } from '../send.ts';
import type { ChatReply, ChatUsage } from './chat.ts';
import { openAiError } from './face.ts';

/** What stays the same in every part of one reply. */
export interface ReplyIdentity {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  /** Tell what Azure's content filters found, in the places where Azure does. */
  readonly filters?: boolean;
}

/** The body of a whole reply; `usage` is left out when undefined. */
export function completionJson(
  reply: ChatReply,
  identity: ReplyIdentity,
  usage: ChatUsage | undefined,
): string {
  return JSON.stringify({
    id: identity.id,
    object: 'chat.completion',
    created: identity.created,
    model: reply.model,
    ...(identity.filters && { prompt_filter_results: promptFilterResults }),
    choices: reply.choices.map((choice, index) => ({
      index,
      message: { role: 'assistant', ...messageOf(choice), refusal: null, annotations: [] },
      logprobs: null,
      finish_reason: finishReasons[choice.finish],
      ...(identity.filters && { content_filter_results: nothingFiltered }),
    })),
    usage,
    service_tier: 'default',
    system_fingerprint: fingerprint,
  });
}

/** A reply as server-sent events; usage comes exactly when it is given. */
export function streamOf(
  reply: ChatReply,
  identity: ReplyIdentity,
  usage: ChatUsage | undefined,
  bill: Bill,
): StreamReply {
  return {
    contentType: 'text/event-stream; charset=utf-8',
    pieces: reply.choices.reduce((total, choice) => total + choice.pieces.length, 0),
    frames: streamEvents(reply, identity, usage),
    bill,
    malformed: () => `data: {"id":"${identity.id}","choices":[{"delta":{"content":"\n\n`,
    errorFrame: (error) => event(JSON.stringify({ error: openAiError(error) })),
  };
}

/**
 * The events of a streamed reply, in order: for each choice its role, then the content of all choices in turns, then
 * each choice's finish reason; with `usage` one event more, without choices, and `usage: null` on all others, exactly
 * when the caller asked for it; at last `[DONE]`.
 */
export function* streamEvents(
  reply: ChatReply,
  identity: ReplyIdentity,
  usage: ChatUsage | undefined,
): Generator<StreamFrame> {
  const tail = usage === undefined ? '}' : ',"usage":null}';
  const head = `{"id":"${identity.id}","object":"chat.completion.chunk","created":${identity.created},"model":${JSON.stringify(reply.model)},"service_tier":"default","system_fingerprint":"${fingerprint}","choices":[`;
  const chunk = (index: number, delta: object, finishReason: string | null, filtered: object): string => {
    const found = identity.filters ? `,"content_filter_results":${JSON.stringify(filtered)}` : '';
    return event(
      `${head}{"index":${index},"delta":${JSON.stringify(delta)},"logprobs":null,"finish_reason":${JSON.stringify(finishReason)}${found}}]${tail}`,
    );
  };
  if (identity.filters) yield { data: event(filterChunk), carries: 'start', tokens: 0 };

  let tokens = reply.usage.completion_tokens_details.reasoning_tokens;
  for (const [index, choice] of reply.choices.entries()) {
    yield { data: chunk(index, firstDelta(choice), null, {}), carries: 'start', tokens };
  }
  const rounds = Math.max(...reply.choices.map((choice) => choice.pieces.length));
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, choice] of reply.choices.entries()) {
      const piece = choice.pieces[round];
      if (piece === undefined) continue;
      tokens += (choice.tokens - choice.reasoningTokens) / choice.pieces.length;
      yield {
        data: chunk(index, contentDelta(choice, piece), null, nothingFiltered),
        carries: 'content',
        tokens: Math.round(tokens),
      };
    }
  }
  const all = reply.usage.completion_tokens;
  for (const [index, choice] of reply.choices.entries()) {
    yield { data: chunk(index, {}, finishReasons[choice.finish], {}), carries: 'finish', tokens: all };
  }
  if (usage !== undefined) {
    const data = event(`${head}],"usage":${JSON.stringify(usage)}}`);
    yield { data, carries: 'usage', tokens: all, tellsUsage: true };
  }
  yield { data: event('[DONE]'), carries: 'done', tokens: all };
}

const fingerprint = 'fp_simulator';
const finishReasons = { end: 'stop', stop: 'stop', length: 'length', 'tool-call': 'tool_calls' } as const;

const safe = { filtered: false, severity: 'safe' };
const nothingFiltered = { hate: safe, self_harm: safe, sexual: safe, violence: safe };
const promptFilterResults = [
  {
    prompt_index: 0,
    content_filter_results: { ...nothingFiltered, jailbreak: { filtered: false, detected: false } },
  },
];
/** Azure's first chunk has no choices and no identity, only what was found in the prompt. */
const filterChunk = JSON.stringify({
  choices: [],
  created: 0,
  id: '',
  model: '',
  object: '',
  prompt_filter_results: promptFilterResults,
});

function event(data: string): string {
  return `data: ${data}\n\n`;
}

function messageOf({ answer, callId }: Saying): object {
  if (answer.kind === 'text') return { content: answer.text };
  const call = { name: answer.name, arguments: answer.argumentsJson };
  return { content: null, tool_calls: [{ id: `call_${callId}`, type: 'function', function: call }] };
}

function firstDelta({ answer, callId }: Saying): object {
  if (answer.kind === 'text') return { role: 'assistant', content: '', refusal: null };
  const call = {
    index: 0,
    id: `call_${callId}`,
    type: 'function',
    function: { name: answer.name, arguments: '' },
  };
  return { role: 'assistant', content: null, tool_calls: [call], refusal: null };
}

function contentDelta({ answer }: Saying, piece: string): object {
  return answer.kind === 'text'
    ? { content: piece }
    : { tool_calls: [{ index: 0, function: { arguments: piece } }] };
}
