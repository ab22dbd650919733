import type { JsonObject } from '../json-object.ts';
import type { ReplyFacts } from '../model-call.ts';
import { readOpenAiUsage } from '../usage/openai-usage.ts';
import { findMembers, lastSpan } from './json-spans.ts';
import { parseJson } from './parse-json.ts';

const openBracket = 0x5b;

/**
 * Reads model and usage of a reply without building the rest of it.
 * @param answerMember the list that every reply of the dialect holds; without it the body is another API's.
 * @param estimateOutput tokens of a parsed reply, where it told none.
 * @returns null when the body is no whole reply of the dialect.
 */
export function readOpenAiReply(
  body: Buffer,
  answerMember: 'choices' | 'output' | 'data',
  estimateOutput: (reply: Readonly<Record<string, unknown>>) => number,
): ReplyFacts | null {
  const members = findMembers(body, ['usage', 'model', answerMember]);
  if (members.end < 0) return null;
  const answer = lastSpan(members, answerMember);
  if (!answer || body[answer.start] !== openBracket) return null;
  try {
    const bytesOf = (key: string): Buffer | null => {
      const span = lastSpan(members, key);
      return span ? body.subarray(span.start, span.end) : null;
    };
    const usageBytes = bytesOf('usage');
    const rawUsage = usageBytes?.toString('utf8') ?? null;
    const usage = usageBytes ? readOpenAiUsage(parseJson(usageBytes)) : null;
    // A body without usage is looked at closely: it may be no reply at all.
    const reply = usage === null ? (parseJson(body) as JsonObject) : null;
    const model = bytesOf('model');
    return {
      model: model && responseModel(parseJson(model)),
      rawUsage: usage === null && rawUsage === 'null' ? null : rawUsage,
      usage,
      estimateOutputTokens: () => estimateOutput(reply ?? {}),
    };
  } catch {
    return null;
  }
}

/** What a provider calls the model that answered; foreign text, so only in a form that fits the ledger. */
export function responseModel(given: unknown): string | null {
  return typeof given === 'string' && /^[^\p{C}]{1,200}$/u.test(given) ? given : null;
}
