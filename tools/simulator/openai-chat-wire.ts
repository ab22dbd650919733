import type { ChatChoice, ChatReply, ChatUsage } from './openai-chat.ts';

/** What stays the same in every part of one reply. */
export interface ReplyIdentity {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
}

/** One `data:` event of a stream. `tokens` is how many completion tokens are out once it is. */
export interface StreamEvent {
  readonly data: string;
  readonly carries: 'role' | 'content' | 'finish' | 'usage' | 'done';
  readonly tokens: number;
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
    choices: reply.choices.map((choice, index) => ({
      index,
      message: { role: 'assistant', ...messageOf(choice), refusal: null, annotations: [] },
      logprobs: null,
      finish_reason: choice.finishReason,
    })),
    usage,
    service_tier: 'default',
    system_fingerprint: fingerprint,
  });
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
): Generator<StreamEvent> {
  const tail = usage === undefined ? '}' : ',"usage":null}';
  const head = `{"id":"${identity.id}","object":"chat.completion.chunk","created":${identity.created},"model":${JSON.stringify(reply.model)},"service_tier":"default","system_fingerprint":"${fingerprint}","choices":[`;
  const chunk = (index: number, delta: object, finishReason: string | null): string =>
    `${head}{"index":${index},"delta":${JSON.stringify(delta)},"logprobs":null,"finish_reason":${JSON.stringify(finishReason)}}]${tail}`;

  let tokens = reply.usage.completion_tokens_details.reasoning_tokens;
  for (const [index, choice] of reply.choices.entries()) {
    yield { data: chunk(index, firstDelta(choice), null), carries: 'role', tokens };
  }
  const rounds = Math.max(...reply.choices.map((choice) => choice.pieces.length));
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, choice] of reply.choices.entries()) {
      const piece = choice.pieces[round];
      if (piece === undefined) continue;
      tokens += (choice.tokens - choice.reasoningTokens) / choice.pieces.length;
      yield {
        data: chunk(index, contentDelta(choice, piece), null),
        carries: 'content',
        tokens: Math.round(tokens),
      };
    }
  }
  const all = reply.usage.completion_tokens;
  for (const [index, choice] of reply.choices.entries()) {
    yield { data: chunk(index, {}, choice.finishReason), carries: 'finish', tokens: all };
  }
  if (usage !== undefined) {
    yield { data: `${head}],"usage":${JSON.stringify(usage)}}`, carries: 'usage', tokens: all };
  }
  yield { data: '[DONE]', carries: 'done', tokens: all };
}

const fingerprint = 'fp_simulator';

function messageOf({ answer, callId }: ChatChoice): object {
  if (answer.kind === 'text') return { content: answer.text };
  const call = { name: answer.name, arguments: answer.argumentsJson };
  return { content: null, tool_calls: [{ id: callId, type: 'function', function: call }] };
}

function firstDelta({ answer, callId }: ChatChoice): object {
  if (answer.kind === 'text') return { role: 'assistant', content: '', refusal: null };
  const call = { index: 0, id: callId, type: 'function', function: { name: answer.name, arguments: '' } };
  return { role: 'assistant', content: null, tool_calls: [call], refusal: null };
}

function contentDelta({ answer }: ChatChoice, piece: string): object {
  return answer.kind === 'text'
    ? { content: piece }
    : { tool_calls: [{ index: 0, function: { arguments: piece } }] };
}
