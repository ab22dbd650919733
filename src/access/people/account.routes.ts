import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { sessionKeyId } from '../sessions/sessions.service.ts';
import {
  accountView,
  codeBody,
  passwordBody,
  proofBody,
  recoveryCodesView,
  sessionView,
  totpView,
} from './people.schema.ts';
import type { PeopleParts } from './people-parts.ts';
import { showUser } from './users.routes.ts';

const own = { access: { permission: 'account:manage' } } as const;
const tags = ['Account'];

/** What people do with their own account, once they are signed in. */
export function accountRoutes(parts: PeopleParts): Routes {
  const { people, sessions, passwordSignIn, secondFactors, browser } = parts;
  return (api) => {
    api.get(
      '/auth/account',
      {
        config: own,
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
            otp: await secondFactors.isOn(user.id),
            recovery_codes_left: await secondFactors.codesLeft(user.id),
          },
          csrf_token: browser.csrfTokenOf(request),
        };
      },
    );

    api.post(
      '/auth/sign-out',
      {
        config: own,
        schema: {
          tags,
          summary: 'End the session that this request came with',
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.self(request.principal);
        const id = await sessions.currentId(request);
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
        const current = await sessions.currentId(request);
        const rows = await sessions.list(scopeOf(user), user.id);
        return {
          sessions: rows.map((row) => ({
            id: row.id,
            key_id: sessionKeyId(row.id),
            current: row.id === current,
            signed_in_by: row.signed_in_by,
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
          ended: await sessions.revokeAll(scopeOf(user), user.id, await sessions.currentId(request)),
        };
      },
    );

    api.put(
      '/auth/password',
      {
        config: own,
        schema: {
          tags,
          summary: 'Change one’s own password; every other session ends, and this one begins anew',
          body: passwordBody,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.self(request.principal);
        const { current_password, new_password } = request.body;
        await passwordSignIn.proveAgain(user, current_password, request.clientNetwork);
        const hadSession = (await sessions.currentId(request)) !== null;
        await people.setPassword(user, new_password);
        if (hadSession) await browser.signIn(request, reply, user, 'password');
        return reply.code(204).send(null);
      },
    );

    api.post(
      '/auth/totp',
      {
        config: own,
        schema: {
          tags,
          summary: 'Begin to set up one-time codes; they count once the first is confirmed',
          body: proofBody,
          response: { 200: totpView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.self(request.principal);
        await passwordSignIn.proveAgain(user, request.body.password, request.clientNetwork);
        reply.header('cache-control', 'no-store');
        return secondFactors.begin(user);
      },
    );

    api.post(
      '/auth/totp/confirm',
      {
        config: own,
        schema: {
          tags,
          summary: 'Turn one-time codes on with the first of them; other sessions end',
          body: z.object({ otp: z.string().max(20) }),
          response: { 200: recoveryCodesView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.self(request.principal);
        const codes = await secondFactors.confirm(user, request.body.otp);
        await sessions.revokeAll(scopeOf(user), user.id, await sessions.currentId(request));
        await browser.renew(request, reply);
        reply.header('cache-control', 'no-store');
        return { recovery_codes: codes };
      },
    );

    api.post(
      '/auth/totp/remove',
      {
        config: own,
        schema: {
          tags,
          summary: 'Turn one-time codes off; needs one',
          body: codeBody,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.self(request.principal);
        const { otp, recovery_code } = request.body;
        await secondFactors.remove(user, { otp, recoveryCode: recovery_code });
        await browser.renew(request, reply);
        return reply.code(204).send(null);
      },
    );

    api.post(
      '/auth/recovery-codes',
      {
        config: own,
        schema: {
          tags,
          summary: 'New recovery codes in place of the old ones; needs a one-time code',
          body: codeBody,
          response: { 200: recoveryCodesView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.self(request.principal);
        const { otp, recovery_code } = request.body;
        const codes = await secondFactors.renewCodes(user, { otp, recoveryCode: recovery_code });
        reply.header('cache-control', 'no-store');
        return { recovery_codes: codes };
      },
    );
  };
}

/** One's own tenant, whichever an owner has named. */
const scopeOf = (user: { tenant_id: string }) => ({ tenantId: user.tenant_id, readerTokens: [] });
