import { z } from 'zod';
import { attributesSchema } from '../../attributes/attributes.ts';
import { roleName } from '../../roles/roles.schema.ts';
import { signatureAlgorithms } from './usable-keys.ts';

const plain = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be well-formed Unicode without NUL');

export const issuerName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and hyphens');
export const issuerParams = z.object({ name: issuerName });

const claimPath = z
  .union([plain(200), z.array(plain(200)).min(1).max(8)])
  .describe('The name of a claim, or the names on the way to a nested one: ["realm_access", "roles"]');
const value = plain(500);
const group = z.string().trim().pipe(plain(200));
const mostValues = 500;

/** Attributes are named as those of users are. */
const attributeName = plain(63).refine(
  (name) => attributesSchema.safeParse({ [name]: '' }).success,
  'is given by the server: choose another name',
);

const mapping = z.strictObject({
  subject: claimPath.default('sub').describe('Who somebody is there, for good'),
  role: z
    .strictObject({
      claim: claimPath.nullable().default(null),
      values: z
        .array(z.strictObject({ value, role: roleName }))
        .max(mostValues)
        .default([])
        .describe('The first whose value the token has decides. None may be owner'),
      default: roleName.nullable().default(null).describe('Of everybody else; null: they are refused'),
    })
    .prefault({}),
  groups: z
    .strictObject({
      claim: claimPath.nullable().default(null),
      values: z.array(z.strictObject({ value, group })).max(mostValues).default([]),
      others: z
        .enum(['drop', 'keep'])
        .default('drop')
        .describe('Values that are not listed: left out, or groups of the same name'),
    })
    .prefault({}),
  attributes: z
    .array(z.strictObject({ name: attributeName, claim: claimPath }))
    .max(50)
    .default([])
    .describe('What conditions of roles may speak of'),
  required: z
    .array(z.strictObject({ claim: claimPath, value }))
    .max(20)
    .default([])
    .describe('Values that the token must have besides, such as the organisation'),
  tenant: z
    .strictObject({
      claim: claimPath.nullable().default(null),
      values: z
        .array(z.strictObject({ value, tenant: plain(100) }))
        .max(mostValues)
        .default([]),
      default: plain(100).nullable().default(null),
    })
    .nullable()
    .default(null)
    .describe("For the platform's issuers only: whose users are which tenant's, by id or slug"),
});

export const issuerBody = z.strictObject({
  issuer: plain(500).describe('`iss` of its tokens, to the letter'),
  audiences: z.array(plain(500)).min(1).max(20).describe('`aud` of tokens that are meant for here'),
  jwks_uri: plain(1_000)
    .nullable()
    .default(null)
    .describe('Where its keys are; null: where its description says (OpenID Connect Discovery)'),
  algorithms: z
    .array(z.enum(signatureAlgorithms))
    .min(1)
    .max(signatureAlgorithms.length)
    .default(['RS256', 'ES256', 'EdDSA']),
  mapping: mapping.prefault({}),
  clock_skew_seconds: z.number().int().min(0).max(300).default(60),
  max_age_seconds: z
    .number()
    .int()
    .min(60)
    .max(604_800)
    .default(86_400)
    .describe('Tokens made (`iat`) longer ago are refused, whatever their own end'),
  enabled: z.boolean().default(true),
});
export type IssuerBody = z.infer<typeof issuerBody>;

export const issuerView = z.object({
  name: issuerName,
  tenant_id: z.string().nullable(),
  issuer: z.string(),
  audiences: z.array(z.string()),
  jwks_uri: z.string().nullable(),
  algorithms: z.array(z.string()),
  mapping: z.unknown(),
  clock_skew_seconds: z.number().int(),
  max_age_seconds: z.number().int(),
  enabled: z.boolean(),
  keys: z
    .object({
      read_at: z.string().nullable().describe('When this instance last read them; null: not yet'),
      count: z.number().int(),
      problem: z.string().nullable().describe('Why they could not be read the last time'),
    })
    .nullable()
    .describe('Null while it is switched off'),
  created_at: z.string(),
  updated_at: z.string(),
});

export const issuedUserQuery = z.object({
  subject: plain(255).describe('Who somebody is there, as the mapped claim says'),
  tenant: plain(100).optional().describe("For the platform's issuers: in which tenant"),
});
export const issuedUserView = z.object({
  user_id: z.string(),
  reader: z.string().describe('As readers of documents name them'),
});
