import { z } from 'zod';
import { pageQuery } from '../platform/page.ts';
import { isReference } from '../platform/secret-references/index.ts';
import { channelKinds } from './channel.ts';
import { deliveryStates } from './channels.store.ts';
import { severities } from './notification-event.ts';
import { isSigningSecret } from './webhook-message.ts';

const name = z.string().trim().min(1).max(200);
const url = z
  .string()
  .max(2000)
  .describe(
    'Stored encrypted; https, on the public internet. Or a reference to it: env:…, file:…, vault:…#…',
  );
const routingKey = z
  .string()
  .max(2000)
  .refine((given) => isReference(given) || /^[A-Za-z0-9]{32}$/.test(given), {
    message: 'must be the 32 letters and digits of an Events API v2 integration key, or a reference',
  })
  .describe('Stored encrypted; never shown again. Or a reference to it');
const givenSecret = z
  .string()
  .max(2000)
  .refine((given) => isReference(given) || isSigningSecret(given), {
    message: 'must be whsec_ and 24 to 64 bytes in base64, or a reference',
  })
  .optional()
  .describe('What messages are signed with: whsec_…, or a reference to it. Absent: one is made');
const eventKinds = z
  .array(
    z
      .string()
      .max(100)
      .regex(
        /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*(\.\*)?$/,
        'must be a kind of event such as cost.alert.spike, or a beginning such as cost.*',
      ),
  )
  .max(50)
  .describe('Kinds of events that it is told of, such as `cost.alert.spike` or `cost.*`; none: all');
const minSeverity = z.enum(severities).describe('Events below are not told');

const common = {
  name,
  event_kinds: eventKinds.default([]),
  min_severity: minSeverity.default('info'),
  enabled: z.boolean().default(true),
};

export const channelBody = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('webhook'), url, signing_secret: givenSecret, ...common }),
  z.strictObject({ kind: z.literal('slack'), url, ...common }),
  z.strictObject({ kind: z.literal('pagerduty'), routing_key: routingKey, ...common }),
]);

export const channelChangeBody = z
  .strictObject({
    name,
    url,
    routing_key: routingKey,
    event_kinds: eventKinds,
    min_severity: minSeverity,
    enabled: z.boolean().describe('False gives up what is on its way'),
  })
  .partial();

export const channelView = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.enum(channelKinds),
  target: z.string().describe('Where it leads, without what may be secret; a reference as it was given'),
  signing_secret_reference: z
    .string()
    .nullable()
    .describe('Where the signing secret of a webhook is kept, when it is not kept here'),
  event_kinds: z.array(z.string()),
  min_severity: z.enum(severities),
  enabled: z.boolean(),
  disabled_reason: z.string().nullable().describe('Why it was switched off, when nobody did it'),
  created_at: z.string(),
  updated_at: z.string(),
});

const signingSecret = z.string().describe('What messages are signed with, `whsec_…`; shown this once');

export const createdChannelView = channelView.extend({
  signing_secret: signingSecret
    .nullable()
    .describe('Of a webhook, when it was made here: `whsec_…`; shown this once'),
});

export const secretBody = z
  .strictObject({
    signing_secret: givenSecret,
    grace_seconds: z
      .number()
      .int()
      .min(0)
      .max(604_800)
      .default(86_400)
      .describe('How long the secret before goes on signing beside the new one'),
  })
  .prefault({});

export const secretView = z.object({
  signing_secret: signingSecret.nullable().describe('Null when you gave it'),
  previous_valid_until: z.string(),
});

export const deliveriesQuery = pageQuery.extend({
  channel_id: z.uuid().optional(),
  state: z.enum(deliveryStates).optional(),
  event_kind: z.string().max(100).optional(),
});

export const deliveryView = z.object({
  id: z.string(),
  channel_id: z.string(),
  event: z.object({
    id: z.string().describe('What receivers get as `webhook-id`'),
    kind: z.string(),
    severity: z.enum(severities),
    title: z.string(),
    occurred_at: z.string(),
  }),
  state: z
    .enum(deliveryStates)
    .describe('pending: not tried yet; failed: to be tried again; dead: given up, see `redeliver`'),
  attempts: z.number().int(),
  next_attempt_at: z.string().nullable(),
  last_status: z.number().int().nullable(),
  last_error: z.string().nullable(),
  delivered_at: z.string().nullable(),
  created_at: z.string(),
});
