import { z } from 'zod';
import { awsRegionPattern } from '../platform/environment-providers.ts';
import { maxTiers, providerKinds, strategies } from './resolution.ts';

const providerName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    'must be letters, digits, dots, hyphens or underscores, at most 63',
  );

/** What callers put in `model`: no blanks or control characters, so that it fits a header and a log line. */
export const modelNamePattern = /^[^\s\p{C}]{1,200}$/u;
export const modelName = z.string().regex(modelNamePattern, 'must be 1 to 200 characters without blanks');

const keyValue = z
  .string()
  .trim()
  .min(1)
  .max(8192)
  .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without blanks');
const weight = z.number().positive().max(1_000_000);
const wait = (least: number, most: number) => z.number().int().min(least).max(most).optional();

const timeouts = z.object({
  connect_ms: wait(10, 60_000).describe('For the connection'),
  first_token_ms: wait(10, 600_000).describe('From the request to the first of the reply'),
  idle_ms: wait(10, 600_000).describe('Between two pieces of a reply'),
  total_ms: wait(10, 3_600_000).describe('For all of one attempt'),
});

/** A provider but for its name. */
export const providerDescription = z
  .object({
    kind: z
      .enum(providerKinds)
      .describe('What it speaks; `openai-compatible`: any other server with the OpenAI interface'),
    base_url: z
      .string()
      .max(2000)
      .nullish()
      .describe('Absent: the official address of its kind; `azure` and `openai-compatible` have none'),
    api_key: keyValue
      .nullish()
      .describe(
        'Stored encrypted; never shown again. Or where it is kept: `vault:path#field`, and for owners `env:NAME` and `file:/path`',
      ),
    api_keys: z
      .array(z.object({ key: keyValue, weight: weight.default(1).describe('Share of the calls') }))
      .min(1)
      .max(20)
      .nullish()
      .describe('Several keys in place of api_key'),
    aws_region: z
      .string()
      .regex(awsRegionPattern, 'must be an AWS region such as eu-central-1')
      .nullish()
      .describe('Kind `bedrock` only'),
    project_id: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,100}$/, 'must be letters, digits, hyphens or underscores')
      .nullish()
      .describe('Kind `kapa` only: the project that answers'),
    max_concurrent: z
      .number()
      .int()
      .min(1)
      .max(100_000)
      .nullish()
      .describe('Calls in flight to it at once, from each instance'),
    timeouts: timeouts.nullish().describe("In milliseconds; what is absent is the gateway's default"),
  })
  .refine((body) => !(body.api_key && body.api_keys), {
    path: ['api_keys'],
    message: 'must not be given together with api_key',
  })
  .refine((body) => new Set(body.api_keys?.map(({ key }) => key)).size === (body.api_keys?.length ?? 0), {
    path: ['api_keys'],
    message: 'must not hold the same key twice',
  });
export type ProviderDescriptionBody = z.infer<typeof providerDescription>;

export const providerBody = providerDescription.safeExtend({ name: providerName });

const scope = z
  .enum(['tenant', 'platform'])
  .describe("Whose it is: the tenant's own, or the platform's for every tenant");

export const providerView = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.enum(providerKinds),
  base_url: z.string(),
  has_key: z.boolean(),
  key_hint: z.string().nullable().describe('Last characters of the first key, when it is a long one'),
  keys: z.array(
    z.object({
      hint: z.string().nullable(),
      weight: z.number(),
      reference: z.string().nullable().describe('Where the key is kept, when it was given as a reference'),
    }),
  ),
  key_problem: z.string().nullable().describe('Why its keys cannot be used'),
  aws_region: z.string().nullable(),
  project_id: z.string().nullable(),
  max_concurrent: z.number().nullable(),
  timeouts,
  scope,
  source: z.enum(['stored', 'environment']),
  created_at: z.string().nullable(),
});

const strategy = z.enum(strategies);
export const routeCache = z.object({
  mode: z.enum(['off', 'exact', 'semantic']),
  ttl_seconds: z.number().int().min(1).max(2_592_000).optional().describe('How long an answer is kept'),
  similarity_threshold: z
    .number()
    .min(0.5)
    .max(1)
    .optional()
    .describe('Mode `semantic`: least cosine similarity of two requests that may share an answer'),
});

export const routeBody = z.object({
  strategy: strategy.default('weighted').describe('How the targets of a tier are put in order'),
  cache: routeCache.default({ mode: 'off' }).describe('Whether answers are kept'),
  tiers: z
    .array(
      z.object({
        targets: z
          .array(
            z.object({
              provider: providerName,
              model: modelName,
              weight: weight.default(1).describe('Share within the tier'),
            }),
          )
          .min(1)
          .max(20),
      }),
    )
    .min(1)
    .max(maxTiers)
    .describe('Tried in order: primary, secondary, economical, …'),
});
export type RouteBody = z.infer<typeof routeBody>;

export const routeView = z.object({
  name: z.string(),
  scope,
  strategy,
  cache: routeCache,
  tiers: z.array(
    z.object({
      name: z.string(),
      targets: z.array(z.object({ provider: z.string(), model: z.string(), weight: z.number() })),
    }),
  ),
  created_at: z.string(),
  updated_at: z.string(),
});
