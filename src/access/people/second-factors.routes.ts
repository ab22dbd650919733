import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { codeBody, proofBody, recoveryCodesView, totpView } from './people.schema.ts';
import type { PeopleParts } from './people-parts.ts';

const own = { access: { permission: 'account:manage' } } as const;
/** Also for a session whose user must set a second factor up before anything else. */
const enrolling = { access: { permission: 'account:enrol' } } as const;
/** Also for a session that lacks a second factor. */
const whoever = { access: { permission: 'account:sign_in' } } as const;
const tags = ['Account'];

/** One-time codes and recovery codes of one's own, and showing one when a session has to. */
export function secondFactorsRoutes(parts: PeopleParts): Routes {
  const { people, passwordSignIn, secondFactors, policy, browser } = parts;
  return (api) => {
    api.post(
      '/auth/second-factor',
      {
        config: whoever,
        schema: {
          tags,
          summary: 'Show a code, where the session lacks a second factor; the session gets another secret',
          body: codeBody,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const { otp, recovery_code } = request.body;
        const given = { otp, recoveryCode: recovery_code };
        await browser.showing(request, reply, (user) => secondFactors.check(user, given));
        return reply.code(204).send(null);
      },
    );

    api.post(
      '/auth/totp',
      {
        config: enrolling,
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
        config: enrolling,
        schema: {
          tags,
          summary: 'Turn one-time codes on with the first of them; other sessions end',
          body: z.object({ otp: z.string().max(20) }),
          response: { 200: recoveryCodesView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { otp } = request.body;
        const codes = await browser.changing(
          request,
          reply,
          (user, keep) => secondFactors.confirm(user, otp, keep),
          'shown',
        );
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
          summary: 'Turn one-time codes off; needs one; other sessions end',
          body: codeBody,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const { otp, recovery_code } = request.body;
        await browser.changing(request, reply, async (user, keep) => {
          const needed = await policy.needs(user);
          await secondFactors.remove(user, { otp, recoveryCode: recovery_code }, needed, keep);
        });
        return reply.code(204).send(null);
      },
    );

    api.post(
      '/auth/recovery-codes',
      {
        config: own,
        schema: {
          tags,
          summary: 'New recovery codes in place of the old ones; needs a one-time code; other sessions end',
          body: codeBody,
          response: { 200: recoveryCodesView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { otp, recovery_code } = request.body;
        const given = { otp, recoveryCode: recovery_code };
        const codes = await browser.changing(request, reply, (user, keep) =>
          secondFactors.renewCodes(user, given, keep),
        );
        reply.header('cache-control', 'no-store');
        return { recovery_codes: codes };
      },
    );
  };
}
