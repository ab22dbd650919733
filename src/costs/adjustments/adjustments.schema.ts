import { z } from 'zod';
import { pageQuery } from '../../platform/page.ts';
import { count, usd } from '../figures.schema.ts';
import { signedUsd } from './signed-usd.ts';

const time = z.iso.datetime({ offset: true });
const reason = z.string().trim().min(1).max(500);
const name = (most: number) => z.string().min(1).max(most);

const kind = z.enum(['reprice', 'credit', 'correction']);

export const adjustmentBody = z
  .strictObject({
    kind: z.enum(['credit', 'correction']),
    amount_usd: signedUsd.describe(
      'Added to what the tenant is charged, so below zero for a credit; at most nine decimal places',
    ),
    reason,
    at: time
      .optional()
      .describe('The time it counts for, in the past 366 days; default: now, or the time of the call'),
    ledger_id: z.uuid().optional().describe('The call that it is about, by its id in the ledger'),
    provider: name(63).optional(),
    model: name(200).optional(),
  })
  .refine((given) => given.kind !== 'credit' || given.amount_usd < 0n, {
    path: ['amount_usd'],
    message: 'must be below zero for a credit',
  })
  .refine(
    (given) =>
      given.ledger_id === undefined ||
      (given.at === undefined && given.provider === undefined && given.model === undefined),
    { path: ['ledger_id'], message: 'tells time, provider and model by itself: leave those out' },
  );

export const adjustmentView = z.object({
  id: z.string(),
  kind,
  at: z.string().describe('The time it counts for'),
  delta_usd: usd,
  reason: z.string(),
  ledger_id: z.string().nullable().describe('The call that it is about'),
  provider: z.string().nullable(),
  model: z.string().nullable(),
  route: z.string().nullable(),
  key_id: z.string().nullable(),
  user_id: z.string().nullable(),
  prompt_id: z.string().nullable(),
  tags: z.array(z.string()),
  priced_now: z.boolean().describe('The call had no price before'),
  price_id: z.string().nullable(),
  price_version: z.string().nullable(),
  batch_id: z.string().describe('The same for all that were made together'),
  created_by: z.string(),
  created_at: z.string(),
});

export const adjustmentQuery = pageQuery.extend({
  kind: kind.optional(),
  batch_id: z.uuid().optional().describe('Only those made together'),
});

export const repriceBody = z.strictObject({
  from: time,
  to: time.describe('Not included; at most 366 days after from'),
  provider: name(63).optional(),
  model: name(200).optional(),
  reason: reason.optional(),
  dry_run: z.boolean().default(false).describe('Only tell what it would come to; for 50,000 calls at most'),
});

export const repriceView = z.object({
  batch_id: z.string().nullable().describe('Null: nothing was written'),
  state: z
    .enum(['done', 'running', 'failed'])
    .describe('`running`: a job is at it; look again at /costs/adjustments/reprice/{batch_id}'),
  adjusted: count.describe('Calls whose cost is another now'),
  newly_priced: count.describe('Of those, calls that had no price before'),
  delta_usd: usd,
  examined: count.nullable(),
  still_unpriced: count.nullable(),
  no_price_now: count
    .nullable()
    .describe('Calls that had a price and for which none holds now: they keep their cost'),
  not_told: count
    .nullable()
    .describe('Calls with images or audio whose usage does not tell input from output: they keep their cost'),
});

export const batchParams = z.object({ batch_id: z.uuid() });
