import { z } from 'zod';
import { pageQuery } from '../../platform/page.ts';
import { decimalOf } from '../money.ts';

const time = z.iso.datetime({ offset: true });
const modelPattern = z
  .string()
  .regex(/^[^*\s]+\*?$/, 'must be the name of a model, or the beginning of names and a *')
  .max(200);
const provider = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "must be a provider's name")
  .describe("The provider's name here");
const reason = z.string().trim().min(1).max(500);

/** Above any price there is, and far below where 18 places of it would not fit. */
const highestPrice = 1_000_000;

/** Dollars as plain digits, exactly as they were given: a number of JSON is what its shortest decimal form says. */
function dollars(places: number) {
  return z
    .union([z.string().max(40), z.number()], 'must be an amount in US dollars, such as "0.15"')
    .transform((value, context) => {
      const text = exactDecimal(value);
      const [, fraction = ''] = text?.split('.') ?? [];
      const fault =
        text === null
          ? 'must be an amount in US dollars, not negative, as plain digits such as "0.15"'
          : fraction.length > places
            ? `must have at most ${places} decimal places`
            : Number(text) > highestPrice
              ? `must be at most ${highestPrice}`
              : null;
      if (fault === null && text !== null) return text;
      context.addIssue({ code: 'custom', message: fault ?? '' });
      return z.NEVER;
    });
}

function exactDecimal(value: string | number): string | null {
  try {
    return decimalOf(value);
  } catch {
    return null;
  }
}

const maxSteps = 20;
const stepped = (places: number) =>
  z.union(
    [
      dollars(places),
      z.strictObject({
        base: dollars(places),
        tiers: z
          .array(z.strictObject({ start: z.number().int().positive(), price: dollars(places) }))
          .min(1)
          .max(maxSteps),
      }),
    ],
    `must be an amount in US dollars such as "0.15", not negative, at most ${highestPrice} and with at most ${places} decimal places, or {base, tiers: [{start, price}]}`,
  );

/** The catalogue's own names; arithmetic keeps twelve places of a price per million, fifteen of one per thousand. */
const perMillion = stepped(12).optional();
const components = z
  .strictObject({
    input_mtok: perMillion,
    cache_read_mtok: perMillion,
    cache_write_mtok: perMillion,
    cache_write_1h_mtok: perMillion,
    input_audio_mtok: perMillion,
    cache_audio_read_mtok: perMillion,
    input_image_mtok: perMillion,
    cache_image_read_mtok: perMillion,
    output_mtok: perMillion,
    output_reasoning_mtok: perMillion,
    output_audio_mtok: perMillion,
    output_image_mtok: perMillion,
    requests_kcount: stepped(15).optional().describe('US dollars per thousand requests'),
  })
  .refine((given) => Object.values(given).some((price) => price !== undefined), 'must name a price at least')
  .describe(
    'US dollars per million tokens. A class without a price of its own is charged as the one it is part of; a call that used a class without any is unpriced',
  );

export const overrideBody = z.strictObject({
  provider,
  model: modelPattern.describe('A model, or the beginning of names and a `*`'),
  effective_from: time
    .optional()
    .describe('Default: now. May be in the past; calls made since keep their cost'),
  components,
  reason: reason.optional(),
});

const percent = z
  .union([z.string().max(40), z.number()], 'must be a percentage, such as "12.5"')
  .transform((value, context) => {
    const text = exactDecimal(value);
    const [, fraction = ''] = text?.split('.') ?? [];
    if (text !== null && fraction.length <= 4 && Number(text) > 0 && Number(text) <= 100) {
      // As the database gives it back.
      return `${text.split('.')[0]}.${fraction.padEnd(4, '0')}`;
    }
    context.addIssue({
      code: 'custom',
      message: 'must be above 0 and at most 100, with at most four decimal places',
    });
    return z.NEVER;
  });

export const discountBody = z
  .strictObject({
    provider: provider.optional().describe('Left out: every provider'),
    model: modelPattern.optional().describe("Left out: every model of the provider's"),
    percent,
    effective_from: time.optional().describe('Default: now'),
    effective_to: time.optional().describe('Not included; left out: for good'),
    reason: reason.optional(),
  })
  .refine((given) => given.provider !== undefined || given.model === undefined, {
    path: ['provider'],
    message: 'must be given with a model',
  });

const ruleView = {
  id: z.string(),
  scope: z
    .enum(['tenant', 'platform'])
    .describe("The platform's hold for every tenant without one of its own"),
  effective_from: z.string(),
  reason: z.string().nullable(),
  created_by: z.string(),
  created_at: z.string(),
  withdrawn_at: z.string().nullable(),
};

export const overrideView = z.object({
  ...ruleView,
  provider: z.string(),
  model: z.string(),
  components: z.record(z.string(), z.unknown()),
});

export const discountView = z.object({
  ...ruleView,
  provider: z.string().nullable(),
  model: z.string().nullable(),
  percent: z.string(),
  effective_to: z.string().nullable(),
});

export const effectiveView = z
  .object({
    source: z.enum(['override', 'catalogue']),
    price_id: z.string().describe("As the ledger's rows name it"),
    price_version: z.string(),
    components: z.record(z.string(), z.unknown()).describe('Before the discount'),
    override_id: z.string().nullable(),
    discount: z.object({ id: z.string(), percent: z.string() }).nullable(),
  })
  .describe('The price that holds');

export const ruleQuery = pageQuery.extend({
  provider: z.string().max(63).optional(),
  model: z.string().max(200).optional(),
  withdrawn: z.stringbool().default(false).describe('Those, too, that were withdrawn'),
});

export const priceQuery = ruleQuery.extend({
  at: time
    .optional()
    .describe('With provider and model: the time for which `effective` tells the price; default: now'),
});

export const ruleParams = z.object({ id: z.uuid() });
