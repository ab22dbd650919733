import { z } from 'zod';
import { pageQuery } from '../../platform/page.ts';
import { count, tokenCounts } from '../figures.schema.ts';

export const invoiceQuery = pageQuery;

export const invoiceParams = z.object({
  id: z
    .union([z.uuid(), z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/)])
    .describe('An id, or a month such as 2026-10; the month that goes on is a draft'),
});

export const formatQuery = z.object({
  format: z.enum(['json', 'csv']).optional().describe('Default: what `Accept` asks for, else JSON'),
});

const exactUsd = z.string().describe('US dollars as an exact decimal with nine places');
const usd = z.string().describe('US dollars with whole cents');

const headView = {
  id: z.string().describe("An issued invoice's id, or the month of a draft"),
  status: z.enum(['draft', 'issued']),
  number: z.string().nullable(),
  month: z.string(),
  time_zone: z.string().describe('In which the month begins and ends'),
  period_start: z.string(),
  period_end: z.string().describe('Not included'),
  tenant: z.object({ name: z.string(), slug: z.string() }),
  currency: z.literal('USD'),
  total_usd: usd.describe('What is asked for: the exact total, rounded half up to the cent once'),
  exact_total_usd: exactUsd,
  issued_at: z.string().nullable(),
};

export const invoiceHeadView = z.object(headView);

const lineView = z.object({
  kind: z
    .enum(['usage', 'unpriced', 'late', 'adjustment'])
    .describe(
      '`unpriced`: calls without a known price, not in the total; `late`: calls of an earlier month that were recorded after its invoice',
    ),
  month: z.string().describe('The month that the calls are of'),
  provider: z.string().nullable().describe('Null: several'),
  model: z.string().nullable(),
  description: z.string().nullable(),
  calls: count.describe('Of an adjustment: how many there are'),
  tokens: tokenCounts,
  exact_usd: exactUsd,
  amount_usd: usd.describe('Whole cents that add up to total_usd, by largest remainder'),
});

export const invoiceView = z.object({ ...headView, lines: z.array(lineView) });
