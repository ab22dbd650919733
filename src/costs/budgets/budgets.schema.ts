import { z } from 'zod';
import { usd } from '../figures.schema.ts';
import { decimalOf, scaled } from '../money.ts';
import { budgetScopes, maxLimitNanoUsd } from './budget.ts';
import { periodKinds } from './period.ts';

const usdPlaces = 9;

/** Dollars, exactly as they were given: a number of JSON is what its shortest decimal form says. Becomes nano-dollars. */
const limitUsd = z
  .union([z.string().max(40), z.number()], 'must be an amount in US dollars, such as "25.00"')
  .transform((value, context) => {
    const given = nanoUsdOf(value);
    if (typeof given === 'bigint') return given;
    context.addIssue({ code: 'custom', message: given });
    return z.NEVER;
  })
  .describe('US dollars, at most nine decimal places: "25.00"');

/** @returns nano-dollars, or what is wrong with it. */
function nanoUsdOf(value: string | number): bigint | string {
  let decimal: string;
  try {
    decimal = decimalOf(value);
  } catch {
    return 'must be an amount in US dollars above 0, as plain digits such as "25.00"';
  }
  const [, fraction = ''] = decimal.split('.');
  if (fraction.length > usdPlaces) {
    return `must have at most nine decimal places; it was read as ${decimal}. A string is taken digit by digit`;
  }
  const nanoUsd = scaled(decimal, usdPlaces);
  if (nanoUsd <= 0n) return 'must be above 0';
  return nanoUsd > maxLimitNanoUsd ? 'must be at most 9000000' : nanoUsd;
}

const alertThresholdPercent = z
  .number()
  .int()
  .min(1)
  .max(100)
  .describe('An alert is raised when so much of the limit is spent');
const hardLimit = z.boolean().describe('True: calls that do not fit are refused with 402');
const onUnpriced = z
  .enum(['allow', 'refuse'])
  .describe('Under a hard limit: whether models without a price may be called, whose cost nobody knows');

export const budgetBody = z.strictObject({
  scope: z.enum(budgetScopes).describe('What the budget is of'),
  scope_id: z
    .string()
    .min(1)
    .max(300)
    .nullish()
    .describe(
      "The user's or key's id, the prompt, the model's or route's name, the tag; none for the tenant",
    ),
  period: z.enum(periodKinds).describe("In the tenant's time zone; weeks begin on Monday"),
  limit_usd: limitUsd,
  alert_threshold_percent: alertThresholdPercent.default(80),
  hard_limit: hardLimit.default(false),
  on_unpriced: onUnpriced.default('allow'),
});

export const budgetChange = z
  .strictObject({
    limit_usd: limitUsd.optional(),
    alert_threshold_percent: alertThresholdPercent.optional(),
    hard_limit: hardLimit.optional(),
    on_unpriced: onUnpriced.optional(),
  })
  .refine(
    (given) => Object.values(given).some((value) => value !== undefined),
    'must name something to change',
  );

export const budgetView = z.object({
  id: z.string(),
  scope: z.enum(budgetScopes),
  scope_id: z.string().nullable(),
  period: z.enum(periodKinds),
  limit_usd: usd,
  alert_threshold_percent: z.number().int(),
  hard_limit: z.boolean(),
  on_unpriced: z.enum(['allow', 'refuse']),
  spent_usd: usd.describe('In the current period, according to the ledger'),
  reserved_usd: usd.describe('Held for calls under way; only under a hard limit'),
  left_usd: usd.describe('Never below 0'),
  state: z
    .enum(['within', 'alert', 'exhausted'])
    .describe('`alert`: the threshold was reached. `exhausted`: the limit was'),
  period_start: z.string(),
  period_end: z.string().describe('When it starts anew'),
  created_by: z.string(),
  created_at: z.string(),
  updated_at: z.string(),
});

export const budgetParams = z.object({ id: z.uuid() });
