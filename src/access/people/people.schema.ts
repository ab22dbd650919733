import { z } from 'zod';
import { attributesSchema } from '../attributes/attributes.ts';
import { mfaRequirements } from './mfa-rule.ts';
import { longestPassword } from './password-policy.ts';

const label = z.string().trim().min(1).max(200);
export const emailText = z.email().max(320);
export const roleText = z.string().min(1).max(63).describe('A built-in role or one of the tenant’s own');
const groups = z.array(label).max(100);
const secretText = z.string().min(1).max(200);
const newPassword = z
  .string()
  .min(1)
  .max(longestPassword)
  .describe('At least 12 characters, and not among what is guessed first');
const password = z.string().min(1).max(1_000);

export const code = {
  otp: z.string().max(20).optional().describe('Six digits from the authenticator app'),
  recovery_code: z.string().max(50).optional(),
};

export const signInBody = z.object({ email: z.string().min(3).max(320), password, ...code });
export const secondFactorBody = z.object({
  sign_in: secretText.describe('From the answer to the password'),
  ...code,
});
export const signedInView = z.object({
  status: z.enum(['signed_in', 'second_factor_needed']),
  user_id: z.string().optional(),
  csrf_token: z
    .string()
    .optional()
    .describe('Goes into X-CSRF-Token of every request that changes something'),
  expires_at: z.string().optional(),
  missing_factor: z
    .enum(['enrol', 'show'])
    .nullish()
    .describe(
      'A second factor is required and was not shown: until it is set up (enrol) or shown (show), the session can do nothing else',
    ),
  sign_in: z.string().optional().describe('Goes into the next request when a second factor is needed'),
  second_factors: z.array(z.enum(['otp', 'recovery_code', 'passkey'])).optional(),
});

export const userView = z.object({
  id: z.string(),
  tenant_id: z.string(),
  email: z.string(),
  name: z.string().nullable(),
  role: z.string(),
  groups: z.array(z.string()),
  attributes: z.record(z.string(), z.unknown()),
  has_password: z.boolean(),
  email_verified_at: z
    .string()
    .nullable()
    .describe('When a link that was mailed there was used, or an issuer vouched for it'),
  disabled_at: z.string().nullable(),
  created_at: z.string(),
});

export const userChangeBody = z
  .object({
    name: label.nullable(),
    role: roleText,
    groups,
    attributes: attributesSchema,
    disabled: z.boolean(),
  })
  .partial();

export const invitationBody = z.object({
  email: emailText,
  mail: z
    .boolean()
    .default(true)
    .describe('False: the answer holds the token although mail is configured, and you hand it over'),
  role: roleText.default('analyst'),
  groups: groups.default([]),
  attributes: attributesSchema.default({}),
});
export const invitationView = z.object({
  id: z.string(),
  tenant_id: z.string(),
  email: z.string(),
  role: z.string(),
  groups: z.array(z.string()),
  mailed_at: z.string().nullable().describe('Null: not mailed, or not yet'),
  created_at: z.string(),
  expires_at: z.string(),
});
export const createdInvitationView = invitationView.extend({
  token: z
    .string()
    .nullable()
    .describe('For POST /api/v1/auth/invitations/accept; shown this once. Null: it is mailed to the address'),
});
export const acceptBody = z.object({ token: secretText, password: newPassword, name: label.nullish() });

export const resetLinkView = z.object({
  token: z.string().describe('For POST /api/v1/auth/password/reset; shown this once, works once'),
  expires_at: z.string(),
});
export const forgottenBody = z.object({ email: z.string().min(3).max(320) });
export const forgottenView = z.object({ detail: z.string() });
export const verifyBody = z.object({ token: secretText });
export const resetBody = z.object({ token: secretText, password: newPassword });
export const passwordBody = z.object({
  current_password: z.string().max(1_000).optional(),
  new_password: newPassword,
});

export const sessionView = z.object({
  id: z.string(),
  key_id: z.string().describe('What the ledger, limits and the audit log call it'),
  current: z.boolean(),
  signed_in_by: z.string(),
  second_factor: z.boolean().describe('Whether this sign-in showed two factors'),
  user_agent: z.string().nullable(),
  address: z.string().nullable(),
  created_at: z.string(),
  last_seen_at: z.string(),
  expires_at: z.string(),
});

export const accountView = z.object({
  user: userView,
  permissions: z.array(z.string()),
  second_factor: z.object({
    otp: z.boolean(),
    passkeys: z.number().int(),
    recovery_codes_left: z.number().int(),
    required: z.boolean().describe('Whether the tenant or the platform requires one of this account'),
    missing: z
      .enum(['enrol', 'show'])
      .nullable()
      .describe('What this session has to do with one before it can do anything else'),
  }),
  csrf_token: z.string().nullable().describe('Null for whoever sent no session cookie'),
});

export const proofBody = z.object({
  password: z.string().max(1_000).optional().describe('The current password, where there is one'),
});
export const totpView = z.object({
  secret: z.string(),
  uri: z.string().describe('otpauth:// for a QR code'),
});
export const codeBody = z.object(code);
export const recoveryCodesView = z.object({
  recovery_codes: z.array(z.string()).describe('Each works once; shown this once'),
});

export const policyBody = z.object({
  require_mfa: z
    .enum(mfaRequirements)
    .nullable()
    .describe(
      'Who needs a second factor: none, privileged (roles that may do more than an analyst) or all; null: what the platform’s default says',
    ),
  owners_require_mfa: z
    .boolean()
    .optional()
    .describe('For the platform only: its owners need one, whatever their tenant says'),
});
export const policyView = z.object({
  of: z.enum(['tenant', 'platform']),
  require_mfa: z.enum(mfaRequirements).nullable().describe('Null: the tenant says nothing'),
  default_require_mfa: z.enum(mfaRequirements).describe('Of the platform, for tenants that say nothing'),
  effective_require_mfa: z.enum(mfaRequirements),
  owners_require_mfa: z.boolean(),
  mail: z.object({
    configured: z.boolean(),
    detail: z.string().describe('How invitations and links for forgotten passwords reach people'),
  }),
});
