import { z } from 'zod';

export const cacheView = z.object({
  entries: z
    .number()
    .int()
    .describe('Answers that are kept, those past their time but of use in a failure included'),
  bytes: z.number().int(),
  shared: z.boolean().describe('Whether entries and bytes are those of all instances: true with Redis'),
  since_start: z
    .object({
      hits: z.number().int(),
      misses: z.number().int(),
      hit_ratio: z.number().nullable().describe('Null while nothing was looked for'),
      stale: z.number().int().describe('Answers past their time that stood in for calls that failed'),
      stampedes_prevented: z
        .number()
        .int()
        .describe('Calls that got the answer of an equal call that was going on'),
      saved_usd: z.string().describe('What the calls would have cost, US dollars, exact'),
    })
    .describe('Of this instance, since it started; the ledger has the whole history'),
});

export const removedView = z.object({
  removed: z.number().int().describe('Entries that went, as far as they were seen'),
});

export const entryParams = z.object({
  key: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe('As X-Gatehouse-Cache-Key gave it'),
});
