import { z } from 'zod';
import { pageQuery } from '../../platform/page.ts';
import { count, tokenCounts, usd } from '../figures.schema.ts';
import { alertKinds } from './alert.ts';
import { dimensions } from './dimensions.ts';

const time = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()])
  .describe("A time such as 2026-11-01T00:00:00Z, or a day in the tenant's time zone");

/** As JSON a page has at most this many lines, as CSV at most that many. */
export const longestPage = { json: 200, csv: 10_000 } as const;

export const breakdownQuery = z.object({
  by: z
    .enum([...dimensions, 'day'])
    .describe("What to break down by; days are those of the tenant's time zone"),
  from: time
    .optional()
    .describe("Start, included; default: the first of this month in the tenant's time zone"),
  to: time
    .optional()
    .describe("End, not included; default: the first of next month in the tenant's time zone"),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(longestPage.csv)
    .optional()
    .describe('How many lines: at most 200, by default 50; as CSV at most, and by default, 10,000'),
  cursor: z.string().max(1_000).optional().describe('`next_cursor` of the page before'),
  format: z.enum(['json', 'csv']).optional().describe('Default: what Accept asks for'),
});

export const lineView = z.object({
  value: z
    .string()
    .nullable()
    .describe('What the line is of: an id, a name, a tag or a day; null: calls that have none'),
  name: z.string().nullable().describe("A key's name or a user's e-mail address, where it is known"),
  cost_usd: usd.describe('What the calls cost when they were made, exact, with nine places'),
  adjustments_usd: usd.describe('What was added to or taken from that afterwards; not in cost_usd'),
  calls: count,
  tokens: tokenCounts,
  unpriced: z.object({ calls: count, tokens: count }),
  earlier_attempts: z.object({ count, cost_usd: usd }),
  cached: z.object({ calls: count, saved_usd: usd }),
});

export const breakdownView = z.object({
  by: z.string(),
  from: z.string(),
  to: z.string(),
  time_zone: z.string(),
  lines: z.array(lineView).describe('The most expensive first; days in their order'),
  notes: z.array(z.string()).describe('What to know when adding up the lines'),
  next_cursor: z.string().nullable(),
});

const estimate = z.string().describe('US dollars with nine places; an estimate');
export const forecastView = z.object({
  month: z.string().describe('Such as 2026-11'),
  time_zone: z.string(),
  spent_so_far_usd: usd,
  month_end: z
    .object({ expected_usd: estimate, low_usd: estimate, high_usd: estimate })
    .nullable()
    .describe('What the month will have cost at its end; null without enough history'),
  range: z.string().describe('How often the month is expected to end between low and high'),
  method: z.enum(['weekday_trend', 'weekday', 'daily_mean', 'not_enough_history']),
  explanation: z.string(),
  inputs: z.object({
    history_days: count,
    remaining_days: count,
    daily_level_usd: estimate.nullable(),
    daily_trend_usd: estimate,
    daily_deviation_usd: estimate.nullable(),
    weekday_factors: z.record(z.string(), z.number()).nullable(),
  }),
});

export const alertQuery = pageQuery.extend({
  kind: z.enum(alertKinds).optional(),
  state: z.enum(['open', 'acknowledged', 'all']).default('all'),
});
export const alertView = z.object({
  id: z.string(),
  kind: z.enum(alertKinds),
  severity: z.enum(['info', 'warning', 'critical']),
  subject: z.string().describe('`budget:<id>`, `hour`, `day` or `model:<name>`'),
  title: z.string(),
  text: z.string(),
  data: z
    .record(z.string(), z.unknown())
    .describe('The figures that it was raised on; money as decimal strings'),
  created_at: z.string(),
  acknowledged_at: z.string().nullable(),
  acknowledged_by: z.string().nullable(),
});

export const recommendationsView = z.object({
  from: z.string(),
  to: z.string(),
  recommendations: z.array(
    z.object({
      kind: z.enum(['cache_prompt', 'cheaper_model', 'unused_key', 'unused_prompt']),
      subject: z.string(),
      title: z.string(),
      text: z.string(),
      monthly_saving_usd: usd
        .nullable()
        .describe('Over 30 days at the rate of the time looked at; null: no money'),
      arithmetic: z.object({
        formula: z.string(),
        inputs: z.record(z.string(), z.union([z.string(), z.number()])),
        assumptions: z.array(z.string()),
      }),
    }),
  ),
  not_computed: z.array(z.object({ kind: z.string(), reason: z.string() })),
});
