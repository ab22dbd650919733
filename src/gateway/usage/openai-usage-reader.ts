import { readOpenAiUsage } from '../dialects/openai-usage.ts';
import { objectOf, recordOf } from './token-counts.ts';
import type { UsageReader } from './usage-reader.ts';

/** Usage of OpenAI's chat and of servers that speak it; in a stream, the last event that has any. */
export const openAiUsage: UsageReader = {
  inReply: (body) => objectOf(recordOf(body).usage),
  inChunk: (chunk, before) => objectOf(recordOf(chunk).usage) ?? before,
  read: readOpenAiUsage,
};
