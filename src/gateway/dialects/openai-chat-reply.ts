import type {
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4Source,
  LanguageModelV4Usage,
  SharedV4ProviderMetadata,
} from '@ai-sdk/provider';
import { signedThought } from '../translation/reasoning-carriers.ts';
import type { ReplyContext } from '../translation/translation.ts';
import { recordOf } from '../usage/token-counts.ts';

/** A whole chat completion (https://platform.openai.com/docs/api-reference/chat/object). */
export function writeChatReply(result: LanguageModelV4GenerateResult, context: ReplyContext): Buffer {
  const { content, finishReason, usage, response } = result;
  return Buffer.from(
    JSON.stringify({
      id: `chatcmpl-${context.callId}`,
      object: 'chat.completion',
      created: context.createdAt,
      model: response?.modelId ?? context.model,
      choices: [
        { index: 0, message: messageOf(content), logprobs: null, finish_reason: finishName(finishReason) },
      ],
      ...(chatUsage(usage) ? { usage: chatUsage(usage) } : {}),
      ...threadOf(result.providerMetadata),
    }),
  );
}

function messageOf(content: readonly LanguageModelV4Content[]): object {
  const of = <T extends LanguageModelV4Content['type']>(type: T) =>
    content.filter((part): part is Extract<LanguageModelV4Content, { type: T }> => part.type === type);
  const text = of('text').map((part) => part.text);
  const thoughts = of('reasoning');
  const calls = of('tool-call').filter((call) => !call.providerExecuted);
  const details = thoughts.flatMap((part) => reasoningDetail(part.text, part.providerMetadata) ?? []);
  const annotations = of('source').flatMap((source) => annotation(source) ?? []);
  const images = of('file').flatMap((file) => imageOf(file) ?? []);
  const signed = of('text').map((part) => googleSignature(part.providerMetadata));
  return {
    role: 'assistant',
    content: text.length > 0 ? text.join('') : null,
    refusal: null,
    ...(thoughts.length > 0 ? { reasoning_content: thoughts.map((part) => part.text).join('') } : {}),
    ...(details.length > 0 ? { reasoning_details: details } : {}),
    ...(calls.length > 0 ? { tool_calls: calls.map(toolCallOf) } : {}),
    ...(annotations.length > 0 ? { annotations } : {}),
    ...(images.length > 0 ? { images } : {}),
    ...signed.findLast((signature) => signature !== undefined),
  };
}

type ToolCall = Extract<LanguageModelV4Content, { type: 'tool-call' }>;

function toolCallOf({ toolCallId, toolName, input, providerMetadata }: ToolCall): object {
  return {
    id: toolCallId,
    type: 'function',
    function: { name: toolName, arguments: input },
    ...googleSignature(providerMetadata),
  };
}

/** The provider's signature on a tool call or text, where Google's own OpenAI API has it. */
export function googleSignature(metadata: SharedV4ProviderMetadata | undefined): object | undefined {
  const { thoughtSignature } = recordOf(metadata?.google);
  return typeof thoughtSignature === 'string'
    ? { extra_content: { google: { thought_signature: thoughtSignature } } }
    : undefined;
}

/** A thought that its provider wants back. @returns null for one that nobody signed. */
export function reasoningDetail(text: string, metadata: SharedV4ProviderMetadata | undefined): object | null {
  const signed = signedThought(metadata);
  if (signed === null) return null;
  const { format, signature, encrypted } = signed;
  return signature === undefined
    ? { type: 'reasoning.encrypted', data: encrypted, format }
    : { type: 'reasoning.text', text, signature, format };
}

/** Where an answer has its facts from. */
export function annotation(source: LanguageModelV4Source): object | null {
  if (source.sourceType !== 'url') return null;
  const { url, title } = source;
  return { type: 'url_citation', url_citation: { url, title: title ?? url, start_index: 0, end_index: 0 } };
}

type FileContent = Extract<LanguageModelV4Content, { type: 'file' }>;

/** Pictures have no place in OpenAI's chat; this is where other gateways have them. */
export function imageOf({ data, mediaType }: FileContent): object | null {
  if (!mediaType.startsWith('image/') || data.type !== 'data') return null;
  const base64 = typeof data.data === 'string' ? data.data : Buffer.from(data.data).toString('base64');
  return { type: 'image_url', image_url: { url: `data:${mediaType};base64,${base64}` } };
}

export function finishName({ unified }: LanguageModelV4FinishReason): string {
  switch (unified) {
    case 'length':
      return 'length';
    case 'content-filter':
      return 'content_filter';
    case 'tool-calls':
      return 'tool_calls';
    default:
      return 'stop';
  }
}

/** @returns null when the provider told nothing. */
export function chatUsage({ inputTokens, outputTokens }: LanguageModelV4Usage): object | null {
  if (inputTokens.total === undefined) return null;
  const output = outputTokens.total ?? 0;
  return {
    prompt_tokens: inputTokens.total,
    completion_tokens: output,
    total_tokens: inputTokens.total + output,
    prompt_tokens_details: {
      cached_tokens: inputTokens.cacheRead ?? 0,
      ...(inputTokens.cacheWrite ? { cache_creation_tokens: inputTokens.cacheWrite } : {}),
    },
    completion_tokens_details: { reasoning_tokens: outputTokens.reasoning ?? 0 },
  };
}

/** What names the conversation and the answer to an answer provider, for a follow-up or feedback. */
export function threadOf(metadata: SharedV4ProviderMetadata | undefined): { metadata?: object } {
  const { threadId, questionAnswerId } = recordOf(metadata?.kapa);
  if (typeof threadId !== 'string') return {};
  return { metadata: { kapa_thread_id: threadId, kapa_question_answer_id: questionAnswerId } };
}
