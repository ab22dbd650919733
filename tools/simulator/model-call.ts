import {
  type Answer,
  type Behaviour,
  composeAnswer,
  proseOfTokens,
  type Tool,
  type Turn,
} from './answers.ts';
import type { JsonSchema } from './json-samples.ts';
import { createSeededRandom, hash32, seededHex } from './seeded.ts';
import { nothingServed, type ServedTokens } from './served.ts';
import { countTokens, firstTokens, textPieces, tokenEnds } from './tokens.ts';

/** What a wire format reads from a request for an answer, in no provider's terms. */
export interface ModelCall {
  readonly model: string;
  readonly turns: readonly Turn[];
  readonly stream: boolean;
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
  readonly tools: readonly Tool[];
  /** The tool to call instead of answering in words. */
  readonly callTool: Tool | undefined;
  readonly jsonSchema: JsonSchema | undefined;
  /** Most tokens to think before speaking; 0 for not at all. */
  readonly thinkingBudget: number;
  /** Whether the thoughts are told, not only billed. */
  readonly tellThoughts: boolean;
  readonly prompt: PromptTokens;
  /** Ids of the tool results in the request. */
  readonly toolResults: readonly string[];
}

/** Tokens of a prompt; images and audio are part of all. `images` is their number. */
export interface PromptTokens {
  readonly all: number;
  readonly image: number;
  readonly audio: number;
  readonly images: number;
}

export interface Answering {
  readonly seed: number;
  readonly behaviour: Behaviour;
  /** Exact number of answer tokens wanted instead of a seeded length; at most 200,000. */
  readonly answerTokens?: number | undefined;
  /** Cached prompt tokens to report instead of the wire format's own; never more than the prompt. */
  readonly cachedTokens?: number | undefined;
  readonly tokensPerChunk: number;
  /** Put the mark that becomes invalid UTF-8 on the wire into the answer. */
  readonly spoilText?: boolean;
}

/** One answer to a call, thoughts and all, ready to be put on a wire. */
export interface Saying {
  readonly answer: Answer;
  /** 24 hexadecimal digits; each wire format puts its own prefix before it. */
  readonly callId: string;
  readonly finish: 'end' | 'stop' | 'length' | 'tool-call';
  /** The stop text that ended the answer. */
  readonly stopText: string | undefined;
  /** The answer's text or arguments, in the pieces that a stream sends. */
  readonly pieces: readonly string[];
  /** The thoughts in pieces; empty when they are not told. */
  readonly thoughts: readonly string[];
  /** All output tokens, reasoning among them. */
  readonly tokens: number;
  readonly reasoningTokens: number;
}

/** Tokens a model thinks at most before it speaks, in steps of 64 as OpenAI bills them. */
const reasoningSteps = 4;
const maxAnswerTokens = 200_000;

/** A private-use character that exchange.ts turns into bytes that are not UTF-8, as many as it has itself. */
export const spoiledMark = '\uF8FF';

/** `x-sim-behaviour`, or the end of the model's name: `sim-hallucinate`, `gpt-4o-mini-sim-obey`. */
export function behaviourOf(model: string, header: string | undefined): Behaviour {
  const asked = header ?? /sim-(hallucinate|obey)$/u.exec(model)?.[1];
  return asked === 'hallucinate' || asked === 'obey' ? asked : 'honest';
}

/** How a call is told from another: everything that would change a model's answer, streaming not among it. */
export function seedOfCall(call: ModelCall, seed: number, choices = 1): number {
  const { model, turns, maxTokens, stop, tools, jsonSchema } = call;
  return hash32(JSON.stringify([model, turns, choices, maxTokens, stop, tools, jsonSchema]), seed);
}

/** Says something, the same each time for the same call and seed, streamed or not. */
export function composeSaying(call: ModelCall, answering: Answering, seed: number): Saying {
  const random = createSeededRandom(seed);
  const callId = seededHex(random, 24);
  const reasoningTokens = Math.min(
    64 * (1 + Math.floor(random() * reasoningSteps)),
    call.thinkingBudget,
    call.maxTokens ?? maxAnswerTokens,
  );
  const thoughts = call.tellThoughts ? thoughtsOf(reasoningTokens, seed, answering) : [];
  const answer = spoiled(
    composeAnswer({
      turns: call.turns,
      ...(call.callTool && { callTool: call.callTool }),
      ...(call.jsonSchema && { jsonSchema: call.jsonSchema }),
      ...(answering.answerTokens !== undefined && { leastWords: answering.answerTokens }),
      behaviour: answering.behaviour,
      seed,
    }),
    answering,
  );
  const common = { callId, thoughts, reasoningTokens };
  if (answer.kind === 'tool-call') return { ...common, ...toolSaying(answer, reasoningTokens, answering) };
  return { ...common, ...textSaying(answer.text, call, reasoningTokens, answering) };
}

/** What a call with these answers serves, before any cache. */
export function servedBy(prompt: PromptTokens, sayings: readonly Saying[]): ServedTokens {
  return {
    ...nothingServed,
    inputTokens: prompt.all,
    inputImageTokens: prompt.image,
    inputAudioTokens: prompt.audio,
    outputTokens: sayings.reduce((total, saying) => total + saying.tokens, 0),
    reasoningTokens: sayings.reduce((total, saying) => total + saying.reasoningTokens, 0),
  };
}

/** Caches that work unasked take prompts from 1,024 tokens on, in steps of 128: a seeded share of such a prompt. */
export function seededCachedTokens(promptTokens: number, seed: number): number {
  if (promptTokens < 1_024) return 0;
  const share = createSeededRandom(seed)();
  return Math.floor((promptTokens * share) / 128) * 128;
}

type Said = Pick<Saying, 'answer' | 'finish' | 'stopText' | 'pieces' | 'tokens'>;

function textSaying(full: string, call: ModelCall, reasoningTokens: number, answering: Answering): Said {
  const { text: stopped, stopText } = cutAtStop(full, call.stop);
  const ends = tokenEnds(stopped);
  const wanted = Math.min(ends.length, answering.answerTokens ?? ends.length, maxAnswerTokens);
  const allowed = Math.max(0, (call.maxTokens ?? Number.POSITIVE_INFINITY) - reasoningTokens);
  const length = Math.min(wanted, allowed);
  const text = firstTokens(stopped, ends, length);
  const cut = allowed < wanted;
  return {
    answer: { kind: 'text', text },
    finish: cut ? 'length' : stopText === undefined ? 'end' : 'stop',
    stopText: cut ? undefined : stopText,
    pieces: textPieces(text, ends, answering.tokensPerChunk),
    tokens: length + reasoningTokens,
  };
}

/** A tool call is not cut by a token limit: broken arguments would only test the caller's JSON parser. */
function toolSaying(
  answer: Extract<Answer, { kind: 'tool-call' }>,
  reasoningTokens: number,
  { tokensPerChunk }: Answering,
): Said {
  const ends = tokenEnds(answer.argumentsJson);
  return {
    answer,
    finish: 'tool-call',
    stopText: undefined,
    pieces: textPieces(answer.argumentsJson, ends, tokensPerChunk),
    tokens: ends.length + countTokens(answer.name) + reasoningTokens,
  };
}

function thoughtsOf(tokens: number, seed: number, { tokensPerChunk }: Answering): string[] {
  const text = proseOfTokens(tokens, createSeededRandom(hash32('thoughts', seed)));
  return textPieces(text, tokenEnds(text), tokensPerChunk);
}

function cutAtStop(text: string, stop: readonly string[]): { text: string; stopText?: string } {
  const found = stop
    .map((stopText) => ({ stopText, index: text.indexOf(stopText) }))
    .filter(({ index }) => index >= 0)
    .sort((left, right) => left.index - right.index)[0];
  return found ? { text: text.slice(0, found.index), stopText: found.stopText } : { text };
}

function spoiled(answer: Answer, { spoilText }: Answering): Answer {
  if (!spoilText) return answer;
  if (answer.kind === 'tool-call') {
    const argumentsJson = answer.argumentsJson.replace(/":"/u, `":"${spoiledMark}`);
    return { ...answer, argumentsJson };
  }
  const middle = answer.text.indexOf(' ', Math.floor(answer.text.length / 2));
  const at = middle < 0 ? answer.text.length : middle;
  return { kind: 'text', text: `${answer.text.slice(0, at)}${spoiledMark}${answer.text.slice(at)}` };
}
