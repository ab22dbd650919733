import { z } from 'zod';
import { type Api, problemResponses, type Routes } from '../../platform/api.ts';
import { AppError } from '../../platform/errors.ts';
import type { GivenTokens } from './give-tokens.ts';
import { tokenIssuersRoutes } from './issuers/issuers.routes.ts';
import { keySetMaxAgeSeconds } from './signing-keys.ts';
import {
  revocationBody,
  revokeBody,
  rotationBody,
  rotationView,
  type TokenBody,
  tokenBody,
  tokenView,
} from './tokens.schema.ts';
import type { Tokens } from './tokens.service.ts';

/** Bodies of forms: none that is meant here is longer. */
const formLimit = 32 * 1024;

/** Getting and giving back tokens; mounted under /api/v1. */
export function tokenRoutes(tokens: Tokens): Routes {
  return (api) => {
    tokenIssuersRoutes(tokens.issuers)(api);
    takeForms(api);

    api.post(
      '/auth/token',
      {
        config: { access: { public: 'Whoever signs in has no credential yet.' } },
        schema: {
          tags: ['Sign-in'],
          summary: 'Sign in, renew, or exchange an API key for a token that lives 15 minutes',
          security: [],
          body: tokenBody,
          response: { 200: tokenView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { authorization } = request.headers;
        const given = await grant(
          tokens,
          { ...request.body, ...basicCredentials(authorization) },
          request.clientNetwork,
        );
        reply.header('cache-control', 'no-store');
        return showTokens(given);
      },
    );

    api.post(
      '/auth/revoke',
      {
        config: { access: { public: 'Whoever holds a token may end it; it is its own proof (RFC 7009).' } },
        schema: {
          tags: ['Sign-in'],
          summary: 'End a refresh token with its sign-in, or an access token',
          security: [],
          body: revokeBody,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await tokens.revoke(request.body.token);
        return reply.code(204).send(null);
      },
    );

    api.post(
      '/auth/revocations',
      {
        config: { access: { permission: 'keys:manage' } },
        schema: {
          tags: ['Sign-in'],
          summary: "End the tokens of a user, one token, or all of one's tenant",
          body: revocationBody,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const { body, principal } = request;
        if ('user_id' in body) await tokens.revokeUser(principal, body.user_id);
        else if ('jti' in body) await tokens.revokeToken(principal, body.jti);
        else await tokens.revokeTenant(principal);
        return reply.code(204).send(null);
      },
    );

    api.post(
      '/auth/signing-keys/rotate',
      {
        config: { access: { permission: 'tenants:manage' } },
        schema: {
          tags: ['Sign-in'],
          summary: 'Make a new key that signs tokens; it is published 10 minutes before it signs',
          body: rotationBody,
          response: { 201: rotationView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const made = await tokens.rotateSigningKey(request.body.at_once);
        return reply.code(201).send({ kid: made.id, signs_from: made.signsFrom.toISOString() });
      },
    );
  };
}

/** What verifies our tokens elsewhere (RFC 7517); mounted at the root. */
export function keySetRoutes(tokens: Pick<Tokens, 'keySet'>): Routes {
  return (api) => {
    api.get(
      '/.well-known/jwks.json',
      {
        config: {
          access: { public: 'Public keys are for everyone.' },
          limits: { exempt: 'Held in memory, a few hundred bytes, and kept by whoever reads it.' },
        },
        schema: { tags: ['Sign-in'], summary: 'The public keys that verify tokens', security: [] },
      },
      async (_request, reply) =>
        reply
          .header('cache-control', `public, max-age=${keySetMaxAgeSeconds}`)
          .type('application/json')
          .send(tokens.keySet()),
    );
  };
}

function grant(tokens: Tokens, body: TokenBody, network: string): Promise<GivenTokens> {
  switch (body.grant_type) {
    case 'password':
      return tokens.byPassword({
        email: needed(body.email ?? body.username, 'email'),
        password: needed(body.password, 'password'),
        otp: body.otp,
        recoveryCode: body.recovery_code,
        network,
      });
    case 'refresh_token':
      return tokens.byRefreshToken(needed(body.refresh_token, 'refresh_token'));
    case 'client_credentials':
      return tokens.byClientCredentials(
        needed(body.client_id, 'client_id'),
        needed(body.client_secret, 'client_secret'),
      );
  }
}

function needed(value: string | undefined, path: string): string {
  if (value !== undefined) return value;
  throw new AppError('invalid', `This grant needs ${path}.`, { errors: [{ path, message: 'is missing' }] });
}

/** RFC 6749, 2.3.1: id and secret, each encoded as in a form. */
function basicCredentials(authorization: string | undefined): { client_id?: string; client_secret?: string } {
  if (authorization === undefined || authorization.slice(0, 6).toLowerCase() !== 'basic ') return {};
  const text = Buffer.from(authorization.slice(6), 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0 || text.length > 1_000) return {};
  return { client_id: formText(text.slice(0, colon)), client_secret: formText(text.slice(colon + 1)) };
}

function formText(text: string): string {
  return new URLSearchParams(`v=${text.replaceAll('&', '%26')}`).get('v') ?? '';
}

/** OAuth clients send forms. A name that stands twice is refused (RFC 6749, 3.2). */
function takeForms(api: Api): void {
  api.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: formLimit },
    (_request, text, done) => {
      const fields = new URLSearchParams(String(text));
      const names = [...fields.keys()];
      if (new Set(names).size < names.length) {
        done(new AppError('bad_request', 'A field of the form stands twice.'));
      } else done(null, Object.fromEntries(fields));
    },
  );
}

function showTokens({ accessToken, expiresInSeconds, refreshToken }: GivenTokens): z.infer<typeof tokenView> {
  return {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: expiresInSeconds,
    ...(refreshToken === null ? {} : { refresh_token: refreshToken }),
  };
}
