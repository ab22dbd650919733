import { z } from 'zod';

const count = z.number().int();

const targetHealthView = z.object({
  provider: z.string(),
  model: z.string(),
  scope: z.enum(['tenant', 'platform']),
  state: z
    .enum(['closed', 'open', 'half_open'])
    .describe(
      'closed: calls go there; open: none do; half_open: the next one tries whether it is well again',
    ),
  since: z.string().nullable().describe('When it came into that state; null: it was never in another'),
  open_until: z.string().nullable().describe('No call goes there before'),
  latency_ms: z
    .number()
    .nullable()
    .describe('Running mean of the time to the first token of a stream, else to a whole reply'),
  details: z
    .object({
      consecutive_failures: count,
      last_failure: z.object({ at: z.string(), reason: z.string() }).nullable(),
      in_flight: count,
      attempts_5m: count.describe('Attempts of the last five minutes'),
      failures_5m: count,
    })
    .nullable()
    .describe("Null for the platform's providers, which others use as well"),
});

export const healthView = z.object({
  targets: z.array(targetHealthView).describe('Those that are not closed first'),
  truncated: z.boolean().describe('There are more than are shown'),
});
