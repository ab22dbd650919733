import {
  type Answering,
  composeSaying,
  type Saying,
  seededCachedTokens,
  seedOfCall,
  servedBy,
} from '../model-call.ts';
import { hash32 } from '../seeded.ts';
import type { Bill } from '../send.ts';
import type { ServedTokens } from '../served.ts';
import type { ChatRequest } from './chat-request.ts';

export interface ChatUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number; readonly audio_tokens: number };
  readonly completion_tokens_details: {
    readonly reasoning_tokens: number;
    readonly audio_tokens: number;
    readonly accepted_prediction_tokens: number;
    readonly rejected_prediction_tokens: number;
  };
}

export interface ChatReply {
  readonly model: string;
  readonly choices: readonly Saying[];
  readonly served: ServedTokens;
  readonly usage: ChatUsage;
}

/**
 * Answers a chat request, the same way each time for the same seed and request, streamed or not. Usage is counted by
 * the rule in tokens.ts; every choice's tokens are billed, the prompt once.
 */
export function replyToChat(request: ChatRequest, answering: Answering): ChatReply {
  const requestSeed = seedOfCall(request, answering.seed, request.choices);
  const choices = Array.from({ length: request.choices }, (_, index) =>
    composeSaying(request, answering, hash32(String(index), requestSeed)),
  );
  const cachedReadTokens = Math.min(
    answering.cachedTokens ?? seededCachedTokens(request.prompt.all, requestSeed),
    request.prompt.all,
  );
  const served = { ...servedBy(request.prompt, choices), cachedReadTokens };
  return { model: request.model, choices, served, usage: chatUsage(served) };
}

/** What the reply costs. */
export function billOf({ served }: ChatReply): Bill {
  return { served, wireUsage: chatUsage };
}

/** Usage as the API tells it; images are counted in the prompt but not told apart. */
export function chatUsage(served: ServedTokens): ChatUsage {
  return {
    prompt_tokens: served.inputTokens,
    completion_tokens: served.outputTokens,
    total_tokens: served.inputTokens + served.outputTokens,
    prompt_tokens_details: {
      cached_tokens: served.cachedReadTokens,
      audio_tokens: served.inputAudioTokens,
    },
    completion_tokens_details: {
      reasoning_tokens: served.reasoningTokens,
      audio_tokens: served.outputAudioTokens,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}
