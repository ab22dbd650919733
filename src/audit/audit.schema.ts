import { z } from 'zod';
import { pageQuery } from '../platform/page.ts';

const time = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);
const name = z.string().min(1).max(200);
const hash = z.string().describe('SHA-256 in hex');
const count = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export const log = z
  .enum(['tenant', 'platform'])
  .default('tenant')
  .describe("The caller's tenant's log; or the platform's own, for owners: what belongs to no tenant");

export const logQuery = z.object({ log });

export const entriesQuery = pageQuery.extend({
  log,
  from: time.optional().describe('Start, included'),
  to: time.optional().describe('End, not included'),
  actor: name.optional().describe('`user:<id>`, `key:<id>` or `platform`'),
  action: name.optional().describe('Such as `document.deleted`; `document` stands for all that begin so'),
  target_type: name.optional(),
  target_id: name.optional(),
  outcome: z.enum(['done', 'denied', 'failed']).optional(),
  correlation_id: name.optional(),
});

export const entryView = z.object({
  leaf: z
    .number()
    .int()
    .nullable()
    .describe('Its number in the log, from 0; null for about a second after it was written'),
  entry: z
    .object({
      version: z.number().int(),
      id: z.string(),
      tenant_id: z.string(),
      at: z.string(),
      actor: z.record(z.string(), z.unknown()),
      action: z.string(),
      outcome: z.string(),
      target: z.record(z.string(), z.unknown()),
    })
    .loose(),
});

export const headView = z.object({
  tenant_id: z.string(),
  size: z.number().int(),
  root: hash,
  at: z.string(),
  key_id: z.string(),
  signature: z.string().describe('Ed25519 in hex; docs/audit.md says over which bytes'),
});

export const inclusionQuery = z.object({
  log,
  size: count.optional().describe('Of the tree; default: that of the newest signed head'),
});

export const inclusionView = z.object({
  leaf: z.number().int(),
  size: z.number().int(),
  entry: z.string().describe('The entry as it was hashed, byte for byte'),
  leaf_hash: hash,
  proof: z.array(hash).describe('RFC 9162, section 2.1.3: from the leaf up'),
  root: hash,
  head: headView,
});

export const consistencyQuery = z.object({ log, first: count, second: count });

export const consistencyView = z.object({
  first: z.number().int(),
  second: z.number().int(),
  first_root: hash,
  second_root: hash,
  proof: z.array(hash).describe('RFC 9162, section 2.1.4'),
});

export const keysView = z.object({
  keys: z.array(
    z.object({
      id: z.string(),
      public_key: z.string().describe('Ed25519 as SubjectPublicKeyInfo, DER in base64'),
      created_at: z.string(),
      retired_at: z.string().nullable(),
    }),
  ),
});
