import { Temporal } from 'temporal-polyfill';
import { z } from 'zod';
import { tenantView } from '../access/index.ts';
import {
  burst,
  figureFields,
  mostAtOnce,
  mostPerDay,
  mostPerMinute,
  rate,
  tierNames,
  whole,
} from '../platform/limits-settings.ts';
import { ruleScopes } from './limit-rules.ts';

const backToTiers = 'null: what lies below counts again';

/** Figures to change. */
export const figuresPatch = z
  .strictObject({
    queries_per_second: figureFields.queries_per_second.nullable(),
    burst: figureFields.burst.nullable(),
    queries_per_day: figureFields.queries_per_day.nullable(),
    requests_per_minute: figureFields.requests_per_minute.nullable(),
    requests_per_day: figureFields.requests_per_day.nullable(),
    tokens_per_day: figureFields.tokens_per_day.nullable(),
    concurrent: figureFields.concurrent.nullable(),
  })
  .partial()
  .describe(`Numbers, or the word unlimited; ${backToTiers}`);

const figureView = z.union([z.number(), z.literal('unlimited')]);
const figuresView = z.object({
  queries_per_second: figureView,
  burst: figureView,
  queries_per_day: figureView,
  requests_per_minute: figureView,
  requests_per_day: figureView,
  tokens_per_day: figureView,
  concurrent: figureView,
});

export const tierName = z.enum(tierNames);
export const tierView = z.object({
  tier: tierName,
  limits: figuresView,
  set_by_owner: z.array(z.string()).describe('Figures set here, over the configuration and what is built in'),
});

const moment = z.iso.datetime({ offset: true });

/**
 * Names that JavaScript knows; whether PostgreSQL does is asked before one is stored. Offsets such as +02:00 are no names, and PostgreSQL reads them the other
 * way round.
 */
const timeZone = z
  .string()
  .max(64)
  .refine((name) => /^[A-Za-z]/.test(name) && isTimeZone(name), {
    error: 'must be an IANA time zone such as Europe/Berlin',
  });

export const tenantPatch = z.strictObject({
  name: z.string().trim().min(1).max(200).optional(),
  tier: tierName.optional(),
  status: z.enum(['active', 'suspended']).optional(),
  time_zone: timeZone.optional(),
  ip_allow_list: z
    .array(z.string().max(64))
    .max(100)
    .optional()
    .describe('Addresses and ranges that its callers may come from; none: anywhere'),
  limits: figuresPatch
    .optional()
    .describe(`Instead of the tier's: numbers, or the word unlimited; null: the tier's`),
  limits_expire_at: moment.nullable().optional().describe("When the tenant's own figures end by themselves"),
});

export const limitedTenantView = tenantView.extend({
  limits: figuresView.describe('What counts now'),
  own_limits: figuresView.partial().describe("Its own, in place of its tier's"),
  limits_expire_at: z.string().nullable(),
});

const ruleFigureFields = {
  requests_per_minute: whole(0, mostPerMinute, `must be a whole number from 0 to ${mostPerMinute}`),
  requests_per_day: whole(0, mostPerDay, `must be a whole number from 0 to ${mostPerDay}`),
  queries_per_second: rate,
  burst,
  tokens_per_day: whole(0, mostPerDay, `must be a whole number from 0 to ${mostPerDay}`),
  concurrent: whole(0, mostAtOnce, `must be a whole number from 0 to ${mostAtOnce}`),
};

const subject = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .describe('An address, a user’s or key’s id, a route’s or model’s name; or * for each one of its own');

export const ruleBody = z.strictObject({
  scope: z.enum(ruleScopes),
  subject,
  limits: z.strictObject(ruleFigureFields).partial(),
  expires_at: moment.nullable().optional(),
});

export const rulePatch = z.strictObject({
  limits: z
    .strictObject({
      requests_per_minute: ruleFigureFields.requests_per_minute.nullable(),
      requests_per_day: ruleFigureFields.requests_per_day.nullable(),
      queries_per_second: rate.nullable(),
      burst: burst.nullable(),
      tokens_per_day: ruleFigureFields.tokens_per_day.nullable(),
      concurrent: ruleFigureFields.concurrent.nullable(),
    })
    .partial()
    .optional()
    .describe('null takes a figure away'),
  expires_at: moment.nullable().optional(),
});

export const ruleView = z.object({
  id: z.string(),
  tenant_id: z.string(),
  scope: z.enum(ruleScopes),
  subject: z.string(),
  limits: z.object({
    requests_per_minute: z.number().optional(),
    requests_per_day: z.number().optional(),
    queries_per_second: z.number().optional(),
    burst: z.number().optional(),
    tokens_per_day: z.number().optional(),
    concurrent: z.number().optional(),
  }),
  expires_at: z.string().nullable(),
  created_by: z.string(),
  created_at: z.string(),
  updated_at: z.string(),
});

/** Intl takes abbreviations besides, such as IST, which PostgreSQL takes for another zone and Temporal for none. */
function isTimeZone(name: string): boolean {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name);
    return true;
  } catch {
    return false;
  }
}
