import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { originOf } from './origin-of.ts';
import type { Passkeys } from './passkeys.ts';
import { proofBody, signedInView } from './people.schema.ts';
import type { PeopleParts } from './people-parts.ts';

type PasskeyRow = Awaited<ReturnType<Passkeys['list']>>[number];

const own = { access: { permission: 'account:manage' } } as const;
const noCredential = { access: { public: 'Whoever signs in has no credential yet.' } } as const;
const tags = ['Passkeys'];

const base64url = z.string().max(100_000);
const secretText = z.string().min(1).max(200);
const credential = {
  id: z.string().min(1).max(2_000),
  rawId: z.string().min(1).max(2_000),
  type: z.literal('public-key'),
  clientExtensionResults: z.object({}).default({}),
};
/** As browsers make it: `PublicKeyCredential.toJSON()`. */
const registration = z.object({
  ...credential,
  response: z.object({
    clientDataJSON: base64url,
    attestationObject: base64url,
    transports: z
      .array(z.enum(['ble', 'cable', 'hybrid', 'internal', 'nfc', 'smart-card', 'usb']))
      .optional(),
  }),
});
const assertion = z.object({
  ...credential,
  response: z.object({
    clientDataJSON: base64url,
    authenticatorData: base64url,
    signature: base64url,
    userHandle: base64url.nullish(),
  }),
});
const optionsView = z.object({
  ceremony: z.string().describe('Goes back with the answer, within five minutes'),
  options: z.record(z.string(), z.unknown()).describe('For navigator.credentials'),
});
const passkeyView = z.object({
  id: z.string(),
  name: z.string(),
  created_at: z.string(),
  last_used_at: z.string().nullable(),
});

/** Passkeys: setting them up, and signing in with one. */
export function passkeysRoutes(parts: PeopleParts & { readonly passkeys: Passkeys }): Routes {
  const { people, passkeys, passwordSignIn, waitingSignIns, browser, publicUrl } = parts;
  return (api) => {
    api.get(
      '/auth/passkeys',
      {
        config: own,
        schema: {
          tags,
          summary: 'List one’s own passkeys',
          response: { 200: z.object({ passkeys: z.array(passkeyView) }), ...problemResponses },
        },
      },
      async (request) => ({
        passkeys: (await passkeys.list(await people.self(request.principal))).map(show),
      }),
    );

    api.post(
      '/auth/passkeys/options',
      {
        config: own,
        schema: {
          tags,
          summary: 'Begin to register a passkey',
          body: proofBody,
          response: { 200: optionsView, ...problemResponses },
        },
      },
      async (request) => {
        const user = await people.self(request.principal);
        await passwordSignIn.proveAgain(user, request.body.password, request.clientNetwork);
        const { ceremony, options } = await passkeys.beginRegistration(user, originOf(request, publicUrl));
        return { ceremony, options: { ...options } };
      },
    );

    api.post(
      '/auth/passkeys',
      {
        config: own,
        schema: {
          tags,
          summary: 'Register a passkey with what the browser answered',
          body: z.object({
            ceremony: secretText,
            name: z.string().trim().min(1).max(200),
            response: registration,
          }),
          response: { 201: passkeyView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.self(request.principal);
        const { ceremony, name, response: given } = request.body;
        const { transports, ...answer } = given.response;
        const response = { ...given, response: transports ? { ...answer, transports } : answer };
        const row = await passkeys.register(user, originOf(request, publicUrl), { ceremony, name, response });
        await browser.renew(request, reply);
        return reply.code(201).send(show(row));
      },
    );

    api.delete(
      '/auth/passkeys/:id',
      {
        config: own,
        schema: {
          tags,
          summary: 'Remove one of one’s own passkeys',
          params: z.object({ id: z.string().max(100) }),
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await passkeys.remove(await people.self(request.principal), request.params.id);
        return reply.code(204).send(null);
      },
    );

    api.post(
      '/auth/sign-in/passkey/options',
      {
        config: noCredential,
        schema: {
          tags,
          summary: 'Begin to sign in with a passkey, alone or after a password (sign_in)',
          security: [],
          body: z.object({ sign_in: secretText.optional() }),
          response: { 200: optionsView, ...problemResponses },
        },
      },
      async (request) => {
        const { sign_in } = request.body;
        const after = sign_in === undefined ? null : await waitingSignIns.attempt(sign_in);
        const { ceremony, options } = await passkeys.beginSignIn(after, originOf(request, publicUrl));
        return { ceremony, options: { ...options } };
      },
    );

    api.post(
      '/auth/sign-in/passkey',
      {
        config: noCredential,
        schema: {
          tags,
          summary: 'Sign a browser in with what its passkey answered',
          security: [],
          body: z.object({ ceremony: secretText, sign_in: secretText.optional(), response: assertion }),
          response: { 200: signedInView, ...problemResponses },
        },
      },
      async (request, reply) => {
        browser.refuseOtherSites(request);
        const { ceremony, sign_in, response: given } = request.body;
        const { userHandle, ...answer } = given.response;
        const response = { ...given, response: userHandle ? { ...answer, userHandle } : answer };
        const after = sign_in === undefined ? null : await waitingSignIns.attempt(sign_in);
        const user = await passkeys.finishSignIn(after, originOf(request, publicUrl), { ceremony, response });
        if (sign_in !== undefined) await waitingSignIns.end(sign_in);
        return browser.signIn(request, reply, user, after === null ? 'passkey' : 'password+passkey');
      },
    );
  };
}

function show({ id, name, created_at, last_used_at }: PasskeyRow) {
  return {
    id,
    name,
    created_at: created_at.toISOString(),
    last_used_at: last_used_at?.toISOString() ?? null,
  };
}
