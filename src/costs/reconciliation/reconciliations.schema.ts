import { z } from 'zod';
import { pageQuery } from '../../platform/page.ts';
import { count } from '../figures.schema.ts';
import { comparedClasses, exportFormats } from './exported-usage.ts';

const provider = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "must be a provider's name")
  .describe('The name here of the provider that the export is from');
const tolerance = z
  .union([z.string().max(10), z.number()])
  .transform(String)
  .pipe(
    z
      .string()
      .regex(
        /^(100(\.0{1,4})?|\d{1,2}(\.\d{1,4})?)$/,
        'must be from 0 to 100, with at most four decimal places',
      ),
  )
  // As the database gives it back.
  .transform((text) => `${text.split('.')[0]}.${(text.split('.')[1] ?? '').padEnd(4, '0')}`)
  .default('1.0000');

/** Of a form, or beside the export in a JSON body. */
export const reconciliationFields = z.strictObject({
  provider,
  tolerance_percent: tolerance.describe('Of the larger of two figures; default: 1'),
});

export const reconciliationBody = z.preprocess(
  (sent) => sent ?? undefined,
  reconciliationFields
    .extend({
      export: z
        .union([z.record(z.string(), z.unknown()), z.array(z.unknown()), z.string()])
        .describe(
          "What the provider's usage or cost interface answers: a page, a list of pages, or CSV as a string",
        ),
    })
    .optional(),
);

export const reconciliationQuery = pageQuery;
export const reconciliationParams = z.object({ id: z.uuid() });

const side = z.object({
  calls: count.nullable().describe('Shown where the export tells them; not held against anyone'),
  tokens: z.partialRecord(z.enum(comparedClasses), count).describe('The classes that the export tells'),
  cost_usd: z
    .string()
    .nullable()
    .describe('US dollars with nine places; null: the export tells tokens, not money'),
});

const lineView = z.object({
  day: z.string().nullable().describe('UTC; null: all days'),
  model: z.string().nullable().describe('Null: all models, or what the export does not tell by model'),
  names: z.array(z.string()).describe('The names that were taken for this model'),
  found: z.enum(['both', 'export', 'ledger']).describe('Where there is anything of it'),
  within_tolerance: z.boolean(),
  exported: side.nullable(),
  ledger: side.extend({ unpriced_calls: count }).nullable(),
  drift: side.describe('Export less ledger'),
});

const headView = {
  id: z.string(),
  format: z.enum(exportFormats),
  provider: z.string(),
  period_start: z.string(),
  period_end: z.string().describe('Not included'),
  tolerance_percent: z.string(),
  within_tolerance: z.boolean().describe('Every line is'),
  totals: lineView.extend({
    lines: count,
    lines_shown: count.describe('Of more than 5,000 lines, the first 5,000 that are outside the tolerance'),
    lines_outside: count,
    only_exported: count,
    only_in_ledger: count,
  }),
  created_by: z.string(),
  created_at: z.string(),
};

export const reconciliationHeadView = z.object(headView);
export const reconciliationView = z.object({ ...headView, lines: z.array(lineView) });
