import { noUsage } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import type { ReplyFacts } from '../model-call.ts';
import { readAnthropicUsage } from '../usage/anthropic-usage.ts';
import { recordOf } from '../usage/token-counts.ts';
import { estimateMessageOutput } from './anthropic-estimate.ts';
import { findMembers, lastSpan } from './json-spans.ts';
import { responseModel } from './openai-reply.ts';
import { parseJson } from './parse-json.ts';

/**
 * Reads model and usage of a message without building the rest of it.
 * @returns null when the body is no whole JSON object, or none that could be a message.
 */
export function readAnthropicReply(body: Buffer): ReplyFacts | null {
  const members = findMembers(body, ['usage', 'model']);
  if (members.end < 0) return null;
  const bytesOf = (key: string): Buffer | null => {
    const span = lastSpan(members, key);
    return span ? body.subarray(span.start, span.end) : null;
  };
  try {
    const usageBytes = bytesOf('usage');
    const rawUsage = usageBytes?.toString('utf8') ?? null;
    const usage = usageBytes ? readAnthropicUsage(parseJson(usageBytes)) : null;
    // A body without usage is looked at closely: it may be no message at all.
    const reply = usage === null ? (parseJson(body) as JsonObject) : null;
    if (reply !== null && !Array.isArray(reply.content)) return null;
    const model = bytesOf('model');
    return {
      model: model && responseModel(parseJson(model)),
      rawUsage: usage === null && rawUsage === 'null' ? null : rawUsage,
      usage,
      estimateOutputTokens: () => estimateMessageOutput(reply ?? {}),
    };
  } catch {
    return null;
  }
}

/** The reply to a count of tokens. The count was asked for, not used up: such a call is free. */
export function readTokenCount(body: Buffer): ReplyFacts | null {
  try {
    const { input_tokens } = recordOf(parseJson(body));
    if (typeof input_tokens !== 'number') return null;
    return { model: null, rawUsage: null, usage: noUsage, estimateOutputTokens: () => 0 };
  } catch {
    return null;
  }
}
