import { z } from 'zod';

const email = z.string().min(3).max(320);
const password = z.string().min(1).max(1_000);
const clientId = z.string().min(1).max(100);
const clientSecret = z.string().min(1).max(200);

/** Everything a client may send; which of it is needed depends on the grant (RFC 6749). */
export const tokenBody = z
  .object({
    grant_type: z.enum(['password', 'refresh_token', 'client_credentials']).default('password'),
    email: email.optional(),
    username: email.optional().describe('The same as `email`, as OAuth clients call it'),
    password: password.optional(),
    otp: z.string().max(20).optional().describe('Code of the second factor, where one is set up'),
    recovery_code: z.string().max(100).optional(),
    refresh_token: z.string().max(1_000).optional(),
    client_id: clientId.optional().describe("An API key's id"),
    client_secret: clientSecret.optional().describe('The whole API key, or what of it follows the id'),
  })
  .describe('As JSON or as a form; client id and secret may also be given by HTTP Basic');
export type TokenBody = z.infer<typeof tokenBody>;

export const tokenView = z.object({
  access_token: z.string(),
  token_type: z.literal('Bearer'),
  expires_in: z.number().int().describe('Seconds'),
  refresh_token: z
    .string()
    .optional()
    .describe('Gives the next tokens, once; for users, not for applications'),
});

export const revokeBody = z.object({
  token: z
    .string()
    .min(1)
    .max(20_000)
    .describe('A refresh token, which ends its sign-in, or an access token'),
  token_type_hint: z.string().max(100).optional(),
});

export const revocationBody = z.union([
  z
    .strictObject({ user_id: z.uuid() })
    .describe('All tokens so far of a user, also of one whom an issuer elsewhere knows'),
  z
    .strictObject({
      jti: z
        .string()
        .min(1)
        .max(200)
        .refine(
          (text) => text.isWellFormed() && !text.includes('\0'),
          'must be well-formed Unicode without NUL',
        ),
    })
    .describe('One token, by its id, whoever made it'),
  z.strictObject({ all: z.literal(true) }).describe("All tokens of the tenant's people and applications"),
]);

export const rotationBody = z.object({
  at_once: z
    .boolean()
    .default(false)
    .describe('Tokens of the key before are refused from now on: for a key that may have leaked'),
});

export const rotationView = z.object({ kid: z.string(), signs_from: z.string() });
