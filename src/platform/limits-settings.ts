import { z } from 'zod';

/** The figures of a tier, and what a tenant may have instead of them. Null: unlimited. */
export interface LimitFigures {
  /** Thousandths at the finest. */
  readonly queries_per_second: number | null;
  readonly burst: number | null;
  readonly queries_per_day: number | null;
  readonly requests_per_minute: number | null;
  readonly requests_per_day: number | null;
  readonly tokens_per_day: number | null;
  readonly concurrent: number | null;
}

export const tierNames = ['free', 'starter', 'professional', 'enterprise'] as const;
export type TierName = (typeof tierNames)[number];

export interface LimitsConfig {
  /** What is given here is used in place of the built-in figure. */
  readonly tiers: Readonly<Partial<Record<TierName, Partial<LimitFigures>>>>;
  /** What heavy work counts against limits of requests. */
  readonly weights: {
    readonly prompt_execute: number;
    readonly workflow_execute: number;
    readonly evaluation_batch: number;
  };
  /** Requests without a valid credential, per address. */
  readonly unauthenticatedPerMinute: number | null;
  /** What happens while Redis does not answer: counted here alone, at this process's share, or refused. */
  readonly redisDown: { readonly rates: 'open' | 'closed'; readonly spend: 'open' | 'closed' };
}

const unlimited = z.literal('unlimited');

/** A whole number within bounds. */
export const whole = (least: number, most: number, error: string) =>
  z.int({ error, abort: true }).min(least, { error, abort: true }).max(most, { error, abort: true });

/** A whole number within bounds, or the word `unlimited`. */
export const figure = (least: number, most: number) => {
  const error = `must be a whole number from ${least} to ${most}, or the word unlimited`;
  return z.union([whole(least, most, error), unlimited], { error });
};

const rateBounds = 'must be a number from 0.001 to 1000000 with at most three decimals';
const boundedRate = (error: string) =>
  z
    .number({ error })
    .min(0.001, { error, abort: true })
    .max(1_000_000, { error, abort: true })
    .refine((rate) => Number(rate.toFixed(3)) === rate, { error });

/** A rate: three decimals, so that thousandths are whole; half a query a second is 0.5. */
export const rate = boundedRate(rateBounds);
const wrongRate = `${rateBounds}, or the word unlimited`;
export const perSecond = z.union([boundedRate(wrongRate), unlimited], { error: wrongRate });

/** How much a bucket takes. It is never unlimited: an unlimited rate has no bucket. */
export const burst = whole(1, 1_000_000, 'must be a whole number from 1 to 1000000');

/** Bounds of the counters: with these, no product of theirs passes 2^53. */
export const mostPerMinute = 1_000_000_000;
export const mostPerDay = 100_000_000_000;
export const mostAtOnce = 1_000_000;

/**
 * Where 0 means "none at all" it may be said. Requests and the rate of queries begin at 1, because a tenant that may ask
 * nothing at all could not even mend it: suspend it instead.
 */
export const figureFields = {
  queries_per_second: perSecond,
  burst,
  queries_per_day: figure(0, mostPerDay),
  requests_per_minute: figure(1, mostPerMinute),
  requests_per_day: figure(1, mostPerDay),
  tokens_per_day: figure(0, mostPerDay),
  concurrent: figure(0, mostAtOnce),
} as const;

/** Some of the figures as they are written; those that are absent stay as they are. */
const someFigures = z.strictObject(figureFields).partial();

type WrittenFigures = Readonly<Record<string, number | 'unlimited' | undefined>>;

/** Figures as they are computed with: null for unlimited. */
export function figuresFrom(written: WrittenFigures): Partial<LimitFigures> {
  const given = Object.entries(written).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, value === 'unlimited' ? null : value]));
}

const weight = whole(1, 10_000, 'must be a whole number from 1 to 10000');
const whenDown = z.enum(['open', 'closed'], { error: 'must be open or closed' });

/** The section `limits` of the file that GATEHOUSE_CONFIG names. */
export const limitsSection = z
  .strictObject({
    tiers: z
      .strictObject({
        free: someFigures.optional(),
        starter: someFigures.optional(),
        professional: someFigures.optional(),
        enterprise: someFigures.optional(),
      })
      .default({}),
    weights: z
      .strictObject({
        prompt_execute: weight.default(10),
        workflow_execute: weight.default(50),
        evaluation_batch: weight.default(100),
      })
      .prefault({}),
    unauthenticated_per_minute: figure(1, mostPerMinute).default(10),
    redis_down: z
      .strictObject({ rates: whenDown.default('open'), spend: whenDown.default('closed') })
      .prefault({}),
  })
  .transform(
    (section): LimitsConfig => ({
      tiers: Object.fromEntries(
        Object.entries(section.tiers).map(([tier, figures]) => [tier, figuresFrom(figures ?? {})]),
      ),
      weights: section.weights,
      unauthenticatedPerMinute:
        section.unauthenticated_per_minute === 'unlimited' ? null : section.unauthenticated_per_minute,
      redisDown: section.redis_down,
    }),
  );

/** What holds where nothing is configured. */
export const defaultLimits: LimitsConfig = limitsSection.parse({});
