import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { originOf } from './origin-of.ts';
import type { Passkeys } from './passkeys.ts';
import { proofBody, signedInView } from './people.schema.ts';
import type { PeopleParts } from './people-parts.ts';

type PasskeyRow = Awaited<ReturnType<Passkeys['list']>>[number];

const own = { access: { permission: 'account:manage' } } as const;
/** Also for a session whose user must set a second factor up before anything else. */
const enrolling = { access: { permission: 'account:enrol' } } as const;
/** Also for a session that lacks a second factor. */
const whoever = { access: { permission: 'account:sign_in' } } as const;
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
  const { people, passkeys, passwordSignIn, waitingSignIns, policy, browser, publicUrl } = parts;
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
        config: enrolling,
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
        config: enrolling,
        schema: {
          tags,
          summary: 'Register a passkey with what the browser answered; other sessions end',
          body: z.object({
            ceremony: secretText,
            name: z.string().trim().min(1).max(200),
            response: registration,
          }),
          response: { 201: passkeyView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { ceremony, name, response: given } = request.body;
        const { transports, ...answer } = given.response;
        const response = { ...given, response: transports ? { ...answer, transports } : answer };
        const answered = { ceremony, name, response };
        const row = await browser.changing(
          request,
          reply,
          (user, keep) => passkeys.register(user, originOf(request, publicUrl), answered, keep),
          'shown',
        );
        return reply.code(201).send(show(row));
      },
    );

    api.delete(
      '/auth/passkeys/:id',
      {
        config: own,
        schema: {
          tags,
          summary: 'Remove one of one’s own passkeys; other sessions end',
          params: z.object({ id: z.string().max(100) }),
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const { id } = request.params;
        await browser.changing(request, reply, async (user, keep) => {
          await passkeys.remove(user, id, await policy.needs(user), keep);
        });
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
        const { sign_in } = request.body;
        const after = sign_in === undefined ? null : await waitingSignIns.attempt(sign_in);
        const user = await passkeys.finishSignIn(
          after,
          originOf(request, publicUrl),
          answeredWith(request.body),
        );
        if (sign_in !== undefined) await waitingSignIns.end(sign_in);
        // Alone, it was the device that checked its user: something they have, and something they know or are.
        const by = after === null ? 'passkey' : 'password+passkey';
        return browser.signIn(request, reply, user, { by, secondFactor: true });
      },
    );

    api.post(
      '/auth/second-factor/passkey/options',
      {
        config: whoever,
        schema: {
          tags,
          summary: 'Begin to show a passkey, where the session lacks a second factor',
          response: { 200: optionsView, ...problemResponses },
        },
      },
      async (request) => {
        const user = await people.self(request.principal);
        const { ceremony, options } = await passkeys.beginSignIn(user, originOf(request, publicUrl));
        return { ceremony, options: { ...options } };
      },
    );

    api.post(
      '/auth/second-factor/passkey',
      {
        config: whoever,
        schema: {
          tags,
          summary: 'Show a passkey, where the session lacks a second factor; the session gets another secret',
          body: z.object({ ceremony: secretText, response: assertion }),
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const answered = answeredWith(request.body);
        await browser.showing(request, reply, (user) =>
          passkeys.finishSignIn(user, originOf(request, publicUrl), answered),
        );
        return reply.code(204).send(null);
      },
    );
  };
}

/** Without what was not sent: the library tells absent from undefined. */
function answeredWith({
  ceremony,
  response: given,
}: {
  ceremony: string;
  response: z.infer<typeof assertion>;
}) {
  const { userHandle, ...answer } = given.response;
  return { ceremony, response: { ...given, response: userHandle ? { ...answer, userHandle } : answer } };
}

function show({ id, name, created_at, last_used_at }: PasskeyRow) {
  return {
    id,
    name,
    created_at: created_at.toISOString(),
    last_used_at: last_used_at?.toISOString() ?? null,
  };
}
