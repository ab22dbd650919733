import { noUsage } from '../../costs/index.ts';
import type { JsonObject } from '../json-object.ts';
import type { ReplyFacts } from '../model-call.ts';
import { readAnthropicUsage } from '../usage/anthropic-usage.ts';
import { recordOf } from '../usage/token-counts.ts';
import { estimateMessageOutput } from './anthropic-estimate.ts';
import { findMembers, lastSpan } from './json-spans.ts';
import { responseModel } from './openai-reply.ts';

/**
 * Reads model and usage of a message without building the rest of it.
 * @returns null when the body is no whole JSON object, or none that could be a message.
 */
export function readAnthropicReply(body: Buffer): ReplyFacts | null {
  const members = findMembers(body, ['usage', 'model']);
  if (members.end < 0) return null;
  const textOf = (key: string): string | null => {
    const span = lastSpan(members, key);
    return span ? body.toString('utf8', span.start, span.end) : null;
  };
  try {
    const rawUsage = textOf('usage');
    const usage = rawUsage === null ? null : readAnthropicUsage(JSON.parse(rawUsage));
    // A body without usage is looked at closely: it may be no message at all.
    const reply = usage === null ? (JSON.parse(body.toString('utf8')) as JsonObject) : null;
    if (reply !== null && !Array.isArray(reply.content)) return null;
    return {
      model: responseModel(JSON.parse(textOf('model') ?? 'null')),
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
    const { input_tokens } = recordOf(JSON.parse(body.toString('utf8')));
    if (typeof input_tokens !== 'number') return null;
    return { model: null, rawUsage: null, usage: noUsage, estimateOutputTokens: () => 0 };
  } catch {
    return null;
  }
}
