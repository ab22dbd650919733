import { z } from 'zod';
import { isReference } from '../../platform/secret-references/index.ts';

export const destinationName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'must be small letters, digits and dashes, at most 40');

/** As Standard Webhooks has them: 24 to 64 bytes. */
export const isSigningSecret = (text: string): boolean => /^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/.test(text);

const common = {
  enabled: z.boolean().default(true),
  tenants: z
    .array(z.uuid())
    .min(1)
    .max(1_000)
    .nullable()
    .default(null)
    .describe("Whose logs; null: every tenant's and the platform's own"),
};
const host = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[A-Za-z0-9.:_-]+$/, 'must be a host name or an IP address');
const certificates = z.string().max(100_000).includes('-----BEGIN CERTIFICATE-----');

export const destinationBody = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('syslog'),
    host,
    port: z.number().int().min(1).max(65_535).default(6_514),
    transport: z.enum(['tls', 'tcp', 'udp']).default('tls'),
    ca: certificates
      .nullable()
      .default(null)
      .describe('Certificates to trust, PEM; null: those that the system trusts'),
    ...common,
  }),
  z.strictObject({
    kind: z.literal('webhook'),
    url: z.url().max(2_000),
    secret: z
      .string()
      .max(2_000)
      .refine((given) => isReference(given) || isSigningSecret(given), {
        message: 'must be whsec_ and 24 to 64 bytes in base64, or a reference',
      })
      .optional()
      .describe('What lines are signed with, or a reference to it. Absent: the one before, or one is made'),
    ...common,
  }),
  z.strictObject({
    kind: z.literal('s3'),
    bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,62}$/, 'must be the name of a bucket'),
    region: z.string().min(1).max(100).default('us-east-1'),
    endpoint: z.url().max(2_000).nullable().default(null).describe("Null: Amazon's for the region"),
    prefix: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_-]*(\/[A-Za-z0-9][A-Za-z0-9_.-]*)*$/, 'must be the beginning of a key')
      .max(200)
      .default('audit'),
    access_key_id: z.string().min(1).max(2_000).describe('Or a reference to it'),
    secret_access_key: z
      .string()
      .min(1)
      .max(2_000)
      .describe('Stored sealed, and never shown. Or a reference to it: env:…, file:…, vault:…#…'),
    ...common,
  }),
]);

export const destinationView = z.object({
  name: z.string(),
  kind: z.enum(['syslog', 'webhook', 's3']),
  enabled: z.boolean(),
  tenants: z.array(z.string()).nullable(),
  target: z.record(z.string(), z.unknown()).describe('What was set, without secrets'),
  secret_reference: z.string().nullable().describe('Where its secret is kept, when it is not kept here'),
  state: z.enum(['ok', 'failing', 'off']),
  last_error: z.string().nullable(),
  failing_since: z.string().nullable(),
  next_try_at: z.string().nullable(),
  lag: z.object({
    entries: z.number().int().describe('Entries with a place in the tree that it has not got yet'),
    oldest: z.string().nullable().describe('When the oldest of them was written'),
    lost: z.number().int().describe('Entries that were pruned before they could be forwarded'),
  }),
  created_at: z.string(),
  updated_at: z.string(),
});

export const storedView = destinationView.extend({
  secret: z
    .string()
    .nullable()
    .describe('What a webhook is signed with, when it was made here: shown then, and never again'),
});
