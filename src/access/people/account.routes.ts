import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { sessionKeyId } from '../sessions/session-principal.ts';
import { accountView, passwordBody, sessionView } from './people.schema.ts';
import type { PeopleParts } from './people-parts.ts';
import { showUser } from './users.routes.ts';

const own = { access: { permission: 'account:manage' } } as const;
/** Also for a session that lacks a second factor. */
const whoever = { access: { permission: 'account:sign_in' } } as const;
const tags = ['Account'];

/** What people do with their own account, once they are signed in. */
export function accountRoutes(parts: PeopleParts): Routes {
  const { people, sessions, passwordSignIn, secondFactors, policy, browser } = parts;
  return (api) => {
    api.get(
      '/auth/account',
      {
        config: whoever,
        schema: {
          tags,
          summary: 'Who is signed in, and what they may do',
          response: { 200: accountView, ...problemResponses },
        },
      },
      async (request) => {
        const user = await people.self(request.principal);
        return {
          user: showUser(user),
          permissions: [...request.principal.permissions],
          second_factor: {
            ...(await policy.factorsOf(user.id)),
            recovery_codes_left: await secondFactors.codesLeft(user.id),
            required: await policy.needs(user),
            missing: request.principal.missingFactor ?? null,
          },
          csrf_token: browser.csrfTokenOf(request),
        };
      },
    );

    api.post(
      '/auth/sign-out',
      {
        config: whoever,
        schema: {
          tags,
          summary: 'End the session that this request came with',
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.self(request.principal);
        const id = await sessions.currentId(request, user.id);
        if (id !== null) await sessions.revoke(scopeOf(user), user.id, id);
        browser.forget(request, reply);
        return reply.code(204).send(null);
      },
    );

    api.get(
      '/auth/sessions',
      {
        config: own,
        schema: {
          tags,
          summary: 'List one’s own sessions, newest first',
          response: { 200: z.object({ sessions: z.array(sessionView) }), ...problemResponses },
        },
      },
      async (request) => {
        const user = await people.self(request.principal);
        const current = await sessions.currentId(request, user.id);
        const rows = await sessions.list(scopeOf(user), user.id);
        return {
          sessions: rows.map((row) => ({
            id: row.id,
            key_id: sessionKeyId(row.id),
            current: row.id === current,
            signed_in_by: row.signed_in_by,
            second_factor: row.second_factor,
            user_agent: row.user_agent,
            address: row.address,
            created_at: row.created_at.toISOString(),
            last_seen_at: row.last_seen_at.toISOString(),
            expires_at: row.expires_at.toISOString(),
          })),
        };
      },
    );

    api.delete(
      '/auth/sessions/:id',
      {
        config: own,
        schema: {
          tags,
          summary: 'End one of one’s own sessions',
          params: z.object({ id: z.string().max(100) }),
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.self(request.principal);
        await sessions.revoke(scopeOf(user), user.id, request.params.id);
        return reply.code(204).send(null);
      },
    );

    api.delete(
      '/auth/sessions',
      {
        config: own,
        schema: {
          tags,
          summary: 'End all of one’s own sessions but this one',
          response: { 200: z.object({ ended: z.number().int() }), ...problemResponses },
        },
      },
      async (request) => {
        const user = await people.self(request.principal);
        return {
          ended: await sessions.revokeAll(scopeOf(user), user.id, await sessions.currentId(request, user.id)),
        };
      },
    );

    api.put(
      '/auth/password',
      {
        config: own,
        schema: {
          tags,
          summary: 'Change one’s own password; every other session ends, and this one gets another secret',
          body: passwordBody,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const { current_password, new_password } = request.body;
        await browser.changing(request, reply, async (user, keep) => {
          await passwordSignIn.proveAgain(user, current_password, request.clientNetwork);
          await people.setPassword(user, new_password, keep);
        });
        return reply.code(204).send(null);
      },
    );
  };
}

/** One's own tenant, whichever an owner has named. */
const scopeOf = (user: { tenant_id: string }) => ({ tenantId: user.tenant_id, readerTokens: [] });
