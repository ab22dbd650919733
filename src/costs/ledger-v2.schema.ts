import { z } from 'zod';
import { pageQuery } from '../platform/page.ts';
import { count } from './figures.schema.ts';

const time = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()])
  .describe("A time such as 2026-11-01T00:00:00Z, or a day in the tenant's time zone");
const name = z.string().min(1).max(200);

/** The ledger's query in version 2: a span of time, and filters that all have to fit. */
export const ledgerV2Query = pageQuery.extend({
  from: time
    .optional()
    .describe("Start, included; default: the first of this month in the tenant's time zone"),
  to: time
    .optional()
    .describe("End, not included; default: the first of next month in the tenant's time zone"),
  correlation_id: name.optional().describe('Only the calls of one request'),
  key_id: name.optional(),
  user_id: z.uuid().optional(),
  route: name.optional(),
  provider: name.optional(),
  model: name.optional().describe('As it was asked of the provider'),
  prompt_id: name.optional(),
  tag: name.optional().describe('Calls that have this tag among theirs'),
  status: z.enum(['ok', 'error', 'aborted', 'timeout', 'lost']).optional(),
  pricing: z.enum(['priced', 'unpriced', 'free']).optional(),
  attempts: z
    .enum(['final', 'all'])
    .default('final')
    .describe('`all`: also the attempts that failed before another one was made, each a row'),
});

const money = z
  .object({
    amount: z.string().describe('An exact decimal with nine places'),
    currency: z.literal('USD'),
  })
  .describe('Convert the amount with a decimal type');

export const ledgerV2Row = z.object({
  id: z.string(),
  at: z.string(),
  correlation_id: z.string(),
  call: z.object({
    id: z.string().describe("The call's id: that of its final row"),
    attempt: count.describe("Which of the call's attempts, from 1; 0: none was needed"),
    attempts: count.describe('Attempts up to this one'),
    final: z.boolean().describe('False: an attempt that failed before another one was made'),
    operation: z.string(),
    dialect: z.string(),
    streamed: z.boolean(),
  }),
  caller: z.object({
    key_id: z.string(),
    user_id: z.string().nullable(),
    prompt_id: z.string().nullable().describe('What the call was made for: `X-Gatehouse-Prompt`'),
    tags: z.array(z.string()).describe('`X-Gatehouse-Tags`'),
  }),
  target: z.object({
    route: z.string().nullable(),
    tier: z.string(),
    provider: z.string(),
    model: z.string(),
    response_model: z.string().nullable(),
  }),
  outcome: z.object({ status: z.string(), error_code: z.string().nullable() }),
  usage: z.object({
    estimated: z.boolean(),
    input: z.object({
      tokens: count.describe('All, those read from and written into a cache included'),
      cached_read: count,
      cache_write_5m: count,
      cache_write_1h: count,
    }),
    output: z.object({ tokens: count, reasoning: count }),
    image: count,
    audio: count,
    raw: z.unknown().describe('Usage as the provider sent it'),
  }),
  cost: z.object({
    pricing: z.enum(['priced', 'unpriced', 'free']),
    charged: money.nullable().describe('Null: the model has no known price'),
    saved: money.nullable().describe('What an answer from the cache cost when it was made'),
    price: z.object({ id: z.string().nullable(), version: z.string() }),
  }),
  timing: z.object({ duration_ms: count, first_token_ms: count.nullable() }),
});

export const ledgerV2Page = z.object({
  from: z.string(),
  to: z.string(),
  data: z.array(ledgerV2Row),
  next_cursor: z.string().nullable(),
});
