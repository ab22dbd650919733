import { z } from 'zod';
import { pageQuery } from '../platform/page.ts';
import { count, tokenCounts, usd } from './figures.schema.ts';

const time = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()])
  .describe("A time such as 2026-11-01T00:00:00Z, or a day in the tenant's time zone");

export const summaryQuery = z.object({
  from: time
    .optional()
    .describe("Start, included; default: the first of this month in the tenant's time zone"),
  to: time
    .optional()
    .describe("End, not included; default: the first of next month in the tenant's time zone"),
});

export const summaryView = z.object({
  total_cost_usd: usd.describe(
    'What the calls cost when they were made: the sum of their ledger rows, exact',
  ),
  adjustments_usd: usd.describe('What was added to or taken from that afterwards; not in total_cost_usd'),
  calls: count,
  tokens: tokenCounts,
  unpriced: z
    .object({ calls: count, tokens: count })
    .describe('Calls of models without a known price, which total_cost_usd does not hold'),
  earlier_attempts: z
    .object({ count, cost_usd: usd })
    .describe(
      'Attempts that failed before another one was made; total_cost_usd and tokens hold what they came to',
    ),
  cached: z
    .object({ calls: count, saved_usd: usd })
    .describe('Calls answered from the cache, and what their answers cost when they were made'),
  from: z.string(),
  to: z.string(),
  time_zone: z.string(),
});

export const ledgerQuery = pageQuery.extend({
  correlation_id: z.string().max(200).optional().describe('Only the calls of one request'),
  attempts: z
    .enum(['final', 'all'])
    .default('final')
    .describe('`all`: also the attempts that failed before another one was made, each a row'),
});

export const ledgerRowView = z.object({
  id: z.string(),
  call_id: z.string().describe("The call's id: that of its final row"),
  attempt: count.describe("Which of the call's attempts, from 1; 0: none was needed"),
  final: z.boolean().describe('False: an attempt that failed before another one was made'),
  at: z.string(),
  correlation_id: z.string(),
  key_id: z.string(),
  user_id: z.string().nullable(),
  prompt_id: z.string().nullable().describe('What the call was made for: `X-Gatehouse-Prompt`'),
  tags: z.array(z.string()).describe('`X-Gatehouse-Tags`'),
  operation: z.string(),
  dialect: z.string(),
  route: z.string().nullable(),
  provider: z.string(),
  model: z.string(),
  response_model: z.string().nullable(),
  tier: z.string(),
  status: z.string(),
  error_code: z.string().nullable(),
  streamed: z.boolean(),
  raw_usage: z.unknown().describe('Usage as the provider sent it'),
  estimated: z.boolean(),
  input_tokens: count,
  cached_read_tokens: count,
  cache_write_5m_tokens: count,
  cache_write_1h_tokens: count,
  output_tokens: count,
  reasoning_tokens: count,
  image_tokens: count,
  audio_tokens: count,
  pricing_state: z.enum(['priced', 'unpriced', 'free']),
  price_version: z.string(),
  price_id: z.string().nullable(),
  cost_usd: usd.nullable(),
  saved_usd: usd.nullable().describe('What an answer from the cache cost when it was made'),
  attempts: count,
  duration_ms: count,
  first_token_ms: count.nullable(),
});
