import { z } from 'zod';
import { problemResponses, type Routes } from '../../../platform/api.ts';
import { cookieOf, isSecure, setCookie } from '../../sessions/session-cookies.ts';
import type { BrowserSignIn } from '../browser-sign-in.ts';
import { originOf } from '../origin-of.ts';
import { type IssuerSignIn, waitsSeconds } from './issuer-sign-in.ts';
import type { Issuers } from './issuers.service.ts';

type IssuerRow = Awaited<ReturnType<Issuers['put']>>;

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and hyphens');
const label = z.string().trim().min(1).max(200);
const settings = z.object({
  kind: z.enum(['google', 'microsoft', 'github', 'oidc']),
  issuer: z.url().max(500).optional().describe('Needed for microsoft and oidc'),
  client_id: label,
  client_secret: z
    .string()
    .min(1)
    .max(2_000)
    .nullish()
    .describe('Or a reference to it: env:…, file:…, vault:…#…. Absent: the stored one stays'),
  domains: z
    .array(z.string().regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/i, 'must be a domain'))
    .max(100)
    .default([])
    .describe('Addresses of these are believed; none: only people who were linked before'),
  trust_email: z
    .boolean()
    .default(false)
    .describe('Believe addresses that the issuer does not call verified (Microsoft says it of none)'),
  trust_mfa: z
    .boolean()
    .default(false)
    .describe('Believe the issuer that somebody showed two factors, when it says "mfa" in "amr"'),
  mfa_acr_values: z
    .array(label)
    .max(20)
    .default([])
    .describe('Values of "acr" that mean two factors at this issuer; they are asked for'),
  create_users: z.boolean().default(false).describe('Whoever comes and is nobody yet becomes a user'),
  default_role: z.string().min(1).max(63).default('viewer'),
  default_tenant: z.string().max(100).nullish().describe('For issuers of the platform: where new users go'),
  groups_claim: label.nullish(),
  group_map: z
    .record(z.string().min(1).max(200), label)
    .default({})
    .describe('Value of the claim → group here'),
  enabled: z.boolean().default(true),
});
const view = z.object({
  name: z.string(),
  tenant_id: z.string().nullable(),
  kind: z.string(),
  issuer: z.string(),
  client_id: z.string(),
  has_client_secret: z.boolean(),
  client_secret_reference: z.string().nullable().describe('Where it is kept, when it is not kept here'),
  domains: z.array(z.string()),
  trust_email: z.boolean(),
  trust_mfa: z.boolean(),
  mfa_acr_values: z.array(z.string()),
  create_users: z.boolean(),
  default_role: z.string(),
  default_tenant_id: z.string().nullable(),
  groups_claim: z.string().nullable(),
  group_map: z.record(z.string(), z.string()),
  enabled: z.boolean(),
});

const managing = { access: { permission: 'sign_in:manage' } } as const;
const noCredential = { access: { public: 'Whoever signs in has no credential yet.' } } as const;
const tags = ['Sign-in'];
const nameParams = z.object({ name });

/** Issuers that vouch for people, and signing in there. */
export function issuersRoutes(parts: {
  readonly issuers: Issuers;
  readonly issuerSignIn: IssuerSignIn;
  readonly browser: BrowserSignIn;
  readonly publicUrl: string | null;
}): Routes {
  const { issuers, issuerSignIn, browser, publicUrl } = parts;
  return (api) => {
    api.get(
      '/auth/providers',
      {
        config: managing,
        schema: {
          tags,
          summary: 'List the issuers that people sign in at',
          response: { 200: z.object({ providers: z.array(view) }), ...problemResponses },
        },
      },
      async (request) => ({ providers: (await issuers.list(request.principal)).map(show) }),
    );

    api.put(
      '/auth/providers/:name',
      {
        config: managing,
        schema: {
          tags,
          summary: 'Set an issuer up; an owner who names no tenant sets up the platform’s',
          params: nameParams,
          body: settings,
          response: { 200: view, ...problemResponses },
        },
      },
      async (request) => show(await issuers.put(request.principal, request.params.name, request.body)),
    );

    api.delete(
      '/auth/providers/:name',
      {
        config: managing,
        schema: {
          tags,
          summary: 'Remove an issuer; its users stay and need another way to sign in',
          params: nameParams,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await issuers.remove(request.principal, request.params.name);
        return reply.code(204).send(null);
      },
    );

    api.get(
      '/auth/providers/:name/start',
      {
        config: noCredential,
        schema: {
          tags,
          summary: 'Sign a browser in at an issuer: leads there',
          security: [],
          params: nameParams,
          querystring: z.object({
            tenant: z.string().max(100).optional(),
            return_to: z.string().max(2_000).optional().describe('A path of this server'),
          }),
          response: { 302: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const { url, browserToken } = await issuerSignIn.begin({
          name: request.params.name,
          tenant: request.query.tenant,
          returnTo: request.query.return_to,
          base: originOf(request, publicUrl),
        });
        const secure = isSecure(request, publicUrl);
        reply.header('set-cookie', setCookie('sign-in', browserToken, waitsSeconds, secure));
        reply.header('cache-control', 'no-store');
        return reply.redirect(url);
      },
    );

    api.get(
      '/auth/providers/:name/callback',
      {
        config: noCredential,
        schema: {
          tags,
          summary: 'Where an issuer sends the browser back to',
          security: [],
          params: nameParams,
          response: { 302: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const secure = isSecure(request, publicUrl);
        const { user, returnTo, by, secondFactor } = await issuerSignIn.finish({
          name: request.params.name,
          query: request.url.split('?')[1] ?? '',
          browserToken: cookieOf(request, 'sign-in', secure),
        });
        await browser.signIn(request, reply, user, { by, secondFactor });
        reply.header('set-cookie', setCookie('sign-in', '', 0, secure));
        return reply.redirect(returnTo);
      },
    );
  };
}

function show(row: IssuerRow) {
  const { id: _id, sealed_client_secret, created_at: _created, updated_at: _updated, ...shown } = row;
  return { ...shown, has_client_secret: sealed_client_secret !== null };
}
