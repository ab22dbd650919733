import { type Answer, type Behaviour, composeAnswer } from './answers.ts';
import type { ChatRequest } from './openai-chat-request.ts';
import { createSeededRandom, hash32, seededHex } from './seeded.ts';
import { countTokens, firstTokens, textPieces, tokenEnds } from './tokens.ts';

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

export interface ChatChoice {
  readonly answer: Answer;
  readonly callId: string;
  readonly finishReason: 'stop' | 'length' | 'tool_calls';
  /** The answer's text or arguments, in the pieces that a stream sends. */
  readonly pieces: readonly string[];
  readonly tokens: number;
  readonly reasoningTokens: number;
}

export interface ChatReply {
  readonly model: string;
  readonly choices: readonly ChatChoice[];
  readonly usage: ChatUsage;
}

export interface ChatAnswering {
  readonly seed: number;
  readonly behaviour: Behaviour;
  /** Exact number of answer tokens wanted instead of a seeded length; at most 200,000. */
  readonly answerTokens?: number | undefined;
  /** Cached prompt tokens to report instead of seeded ones; never more than the prompt. */
  readonly cachedTokens?: number | undefined;
  readonly tokensPerChunk: number;
}

/** Tokens a reasoning model thinks at most before it speaks, in steps of 64 as OpenAI bills them. */
const reasoningSteps = 4;
const maxAnswerTokens = 200_000;

/**
 * Answers a chat request, the same way each time for the same seed and request, streamed or not. Usage is counted by
 * the rule in tokens.ts; every choice's tokens are billed, the prompt once.
 */
export function replyToChat(request: ChatRequest, answering: ChatAnswering): ChatReply {
  const requestSeed = seedOf(request, answering.seed);
  const choices = Array.from({ length: request.choices }, (_, index) =>
    composeChoice(request, answering, hash32(String(index), requestSeed)),
  );
  const cachedTokens = answering.cachedTokens ?? seededCachedTokens(request.promptTokens, requestSeed);
  return { model: request.model, choices, usage: usageOf(request.promptTokens, cachedTokens, choices) };
}

/** The usage of a reply of which only some tokens were made before it ended. */
export function partialUsage(usage: ChatUsage, completionTokens: number): ChatUsage {
  const made = Math.min(usage.completion_tokens, completionTokens);
  return { ...usage, completion_tokens: made, total_tokens: usage.prompt_tokens + made };
}

/** How a request is told from another: everything that would change a model's answer, streaming not among it. */
function seedOf(request: ChatRequest, seed: number): number {
  const { model, turns, choices, maxTokens, stop, tools, jsonSchema } = request;
  return hash32(JSON.stringify([model, turns, choices, maxTokens, stop, tools, jsonSchema]), seed);
}

function composeChoice(request: ChatRequest, answering: ChatAnswering, seed: number): ChatChoice {
  const random = createSeededRandom(seed);
  const callId = `call_${seededHex(random, 24)}`;
  const reasoningTokens = Math.min(
    seededReasoningTokens(request, random()),
    request.maxTokens ?? maxAnswerTokens,
  );
  const composed = composeAnswer({
    turns: request.turns,
    ...(request.callTool && { callTool: request.callTool }),
    ...(request.jsonSchema && { jsonSchema: request.jsonSchema }),
    ...(answering.answerTokens !== undefined && { leastWords: answering.answerTokens }),
    behaviour: answering.behaviour,
    seed,
  });
  if (composed.kind === 'tool-call') return toolChoice(composed, callId, reasoningTokens, answering);
  const stopped = cutAtStop(composed.text, request.stop);
  const ends = tokenEnds(stopped);
  const wanted = Math.min(ends.length, answering.answerTokens ?? ends.length, maxAnswerTokens);
  const allowed = Math.max(0, (request.maxTokens ?? Number.POSITIVE_INFINITY) - reasoningTokens);
  const length = Math.min(wanted, allowed);
  const text = firstTokens(stopped, ends, length);
  return {
    answer: { kind: 'text', text },
    callId,
    finishReason: allowed < wanted ? 'length' : 'stop',
    pieces: textPieces(text, ends, answering.tokensPerChunk),
    tokens: length + reasoningTokens,
    reasoningTokens,
  };
}

/** A tool call is not cut by max_tokens: broken arguments would only test the caller's JSON parser. */
function toolChoice(
  answer: Extract<Answer, { kind: 'tool-call' }>,
  callId: string,
  reasoningTokens: number,
  { tokensPerChunk }: ChatAnswering,
): ChatChoice {
  const ends = tokenEnds(answer.argumentsJson);
  return {
    answer,
    callId,
    finishReason: 'tool_calls',
    pieces: textPieces(answer.argumentsJson, ends, tokensPerChunk),
    tokens: ends.length + countTokens(answer.name) + reasoningTokens,
    reasoningTokens,
  };
}

function cutAtStop(text: string, stop: readonly string[]): string {
  const ends = stop.map((mark) => text.indexOf(mark)).filter((index) => index >= 0);
  return ends.length === 0 ? text : text.slice(0, Math.min(...ends));
}

/** OpenAI caches prompts from 1,024 tokens on, in steps of 128: a seeded share of such a prompt counts as cached. */
function seededCachedTokens(promptTokens: number, seed: number): number {
  if (promptTokens < 1_024) return 0;
  const share = createSeededRandom(seed)();
  return Math.floor((promptTokens * share) / 128) * 128;
}

/** Models whose names say that they reason (o1, o3, gpt-5, …) think 64 to 256 tokens, none at minimal effort. */
function seededReasoningTokens({ model, reasoningEffort }: ChatRequest, share: number): number {
  if (!/^(?:o\d|gpt-5)/u.test(model) || reasoningEffort === 'none' || reasoningEffort === 'minimal') return 0;
  return 64 * (1 + Math.floor(share * reasoningSteps));
}

function usageOf(promptTokens: number, cachedTokens: number, choices: readonly ChatChoice[]): ChatUsage {
  const completionTokens = choices.reduce((total, choice) => total + choice.tokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: Math.min(cachedTokens, promptTokens), audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: choices.reduce((total, choice) => total + choice.reasoningTokens, 0),
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}
