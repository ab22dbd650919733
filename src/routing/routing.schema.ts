import { z } from 'zod';
import { maxTiers, providerKinds } from './resolution.ts';

const providerName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    'must be letters, digits, dots, hyphens or underscores, at most 63',
  );

/** What callers put in `model`: no blanks or control characters, so that it fits a header and a log line. */
export const modelNamePattern = /^[^\s\p{C}]{1,200}$/u;
export const modelName = z.string().regex(modelNamePattern, 'must be 1 to 200 characters without blanks');

export const providerBody = z.object({
  name: providerName,
  kind: z.string().min(1).max(50).describe('`openai`: every server that speaks the OpenAI API'),
  base_url: z.string().max(2000).describe('Such as https://api.openai.com/v1'),
  api_key: z
    .string()
    .trim()
    .min(1)
    .max(4096)
    .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without blanks')
    .nullish()
    .describe('Stored encrypted; never shown again'),
});

const scope = z
  .enum(['tenant', 'platform'])
  .describe("Whose it is: the tenant's own, or the platform's for every tenant");

export const providerView = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.enum(providerKinds),
  base_url: z.string(),
  has_key: z.boolean(),
  key_hint: z.string().nullable().describe('Last characters of a long key'),
  scope,
  source: z.enum(['stored', 'environment']),
  created_at: z.string().nullable(),
});

export const routeBody = z.object({
  tiers: z
    .array(
      z.object({
        targets: z
          .array(
            z.object({
              provider: providerName,
              model: modelName,
              weight: z.number().positive().max(1_000_000).default(1).describe('Share within the tier'),
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

export const routeView = z.object({
  name: z.string(),
  scope,
  tiers: z.array(
    z.object({
      name: z.string(),
      targets: z.array(z.object({ provider: z.string(), model: z.string(), weight: z.number() })),
    }),
  ),
  created_at: z.string(),
  updated_at: z.string(),
});
