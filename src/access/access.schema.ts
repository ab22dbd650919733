import { z } from 'zod';
import { attributesSchema } from './attributes/attributes.ts';
import { roleName } from './roles/roles.schema.ts';

export const tenantBody = z.object({
  name: z.string().trim().min(1).max(200),
  slug: z
    .string()
    .regex(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      'must be lower-case letters, digits and inner hyphens, at most 63',
    ),
  tier: z.enum(['free', 'starter', 'professional', 'enterprise']).default('starter'),
  region: z.enum(['eu', 'us', 'apac']).optional().describe("Defaults to this server's region"),
});

export const tenantView = z.object({
  id: z.string(),
  slug: z.string(),
  name: z.string(),
  tier: z.enum(['free', 'starter', 'professional', 'enterprise']),
  region: z.enum(['eu', 'us', 'apac']),
  status: z.enum(['active', 'suspended']),
  time_zone: z.string(),
  created_at: z.string(),
});

const label = z.string().trim().min(1).max(200);

const ipAllowList = z.array(z.string().max(64)).max(100);
const modelAllowList = z.array(z.string().max(200)).max(100);

export const keyBody = z.object({
  name: label,
  role: roleName
    .default('analyst')
    .describe("viewer, analyst, operator, admin, owner, or a role of the tenant's own"),
  groups: z.array(label).max(100).default([]),
  attributes: attributesSchema.default({}),
  scopes: z
    .array(label)
    .max(100)
    .default([])
    .describe('Permissions such as models:call or documents:*; none: all of the role'),
  expires_at: z.iso.datetime({ offset: true }).nullish(),
  ip_allow_list: ipAllowList.default([]).describe('Addresses and ranges it may be used from; none: anywhere'),
  model_allow_list: modelAllowList
    .default([])
    .describe('Routes and provider/model that it may call, with * for any characters; none: all'),
  internal: z
    .boolean()
    .default(false)
    .describe("For the platform's own services: limits of requests let it pass, budgets do not. Owners only"),
});

export const keyView = z.object({
  id: z.string(),
  tenant_id: z.string(),
  name: z.string(),
  role: z.string(),
  groups: z.array(z.string()),
  attributes: z.record(z.string(), z.unknown()),
  scopes: z.array(z.string()),
  internal: z.boolean(),
  ip_allow_list: z.array(z.string()),
  model_allow_list: z.array(z.string()),
  rotated_at: z.string().nullable(),
  previous_secret_expires_at: z.string().nullable(),
  created_at: z.string(),
  expires_at: z.string().nullable(),
  revoked_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
});

export const keyPatch = z.strictObject({
  name: label.optional(),
  expires_at: z.iso.datetime({ offset: true }).nullable().optional(),
  attributes: attributesSchema.optional().describe('In place of all that there were'),
  ip_allow_list: ipAllowList.optional(),
  model_allow_list: modelAllowList.optional(),
});

export const rotateBody = z.strictObject({
  grace_seconds: z
    .number()
    .int()
    .min(0)
    .max(30 * 24 * 3_600)
    .default(24 * 3_600)
    .describe('How long the secret before works beside the new one; 0: no longer'),
});

export const createdKeyView = keyView.extend({
  key: z.string().describe('The whole key; shown this once'),
});
