import type { Provider, Target } from '../../routing/index.ts';
import type { JsonObject } from '../json-object.ts';
import type { DialectRequest } from '../model-call.ts';
import { pictureCounter } from '../usage/image-tokens.ts';
import { estimateChatInput, estimateEmbeddingsInput } from './openai-estimate.ts';
import { sendsUsageUnasked } from './openai-request.ts';

/** A chat that this process itself asks for, in terms of what it wants instead of one provider's names for it. */
export interface OwnChat {
  readonly model: string;
  readonly messages: readonly { readonly role: 'system' | 'user' | 'assistant'; readonly content: string }[];
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly stream: boolean;
}

export function ownChatRequest(chat: OwnChat): DialectRequest {
  const bodyOf = (model: string, provider: Provider | null) => {
    const reasons = provider !== null && isOpenAi(provider) && reasoningModel.test(model);
    // OpenAI's reasoning models refuse `max_tokens` and any `temperature`; other servers know only `max_tokens`.
    const bound = reasons ? 'max_completion_tokens' : 'max_tokens';
    const asksForUsage = chat.stream && !(provider && sendsUsageUnasked(provider));
    return Buffer.from(
      JSON.stringify({
        model,
        messages: chat.messages,
        ...(chat.maxTokens === undefined ? {} : { [bound]: chat.maxTokens }),
        ...(chat.temperature === undefined || reasons ? {} : { temperature: chat.temperature }),
        ...(chat.stream ? { stream: true } : {}),
        ...(asksForUsage ? { stream_options: { include_usage: true } } : {}),
      }),
    );
  };
  return ownRequest(bodyOf, chat.model, chat.maxTokens ?? null, (target) =>
    estimateChatInput({ messages: chat.messages }, pictureCounter(target)),
  );
}

export function ownEmbeddingsRequest(given: {
  readonly model: string;
  readonly inputs: readonly string[];
  readonly dimensions?: number | undefined;
}): DialectRequest {
  const { inputs: input, dimensions } = given;
  const bodyOf = (model: string) =>
    Buffer.from(JSON.stringify({ model, input, ...(dimensions === undefined ? {} : { dimensions }) }));
  return ownRequest(bodyOf, given.model, null, () => estimateEmbeddingsInput({ input }));
}

function ownRequest(
  bodyOf: (model: string, provider: Provider | null) => Buffer,
  model: string,
  outputBound: number | null,
  estimateInputTokens: (target: Target) => number,
): DialectRequest {
  const bytes = bodyOf(model, null);
  return {
    bytes,
    outputBound,
    hidesUsageEvent: false,
    repeatable: true,
    parsed: () => JSON.parse(bytes.toString('utf8')) as JsonObject,
    bodyFor: (target: Target) => bodyOf(target.model, target.provider),
    estimateInputTokens,
  };
}

const reasoningModel = /^(?:o\d|gpt-[5-9])/;

function isOpenAi(provider: Provider): boolean {
  return provider.baseUrl.startsWith('https://api.openai.com/');
}
