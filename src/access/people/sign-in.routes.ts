import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { acceptBody, resetBody, secondFactorBody, signedInView, signInBody } from './people.schema.ts';
import type { PeopleParts } from './people-parts.ts';
import type { SignInTries } from './sign-in-tries.ts';

const noCredential = { public: 'Whoever signs in has no credential yet.' } as const;
const tags = ['Sign-in'];

/** Ways in, for those who are nobody yet. */
export function signInRoutes(parts: PeopleParts & { readonly tries: Pick<SignInTries, 'welcome'> }): Routes {
  const { passwordSignIn, waitingSignIns, browser, people, tries } = parts;
  return (api) => {
    api.post(
      '/auth/sign-in',
      {
        config: { access: noCredential },
        schema: {
          tags,
          summary: 'Sign a browser in with a password; answers with a session cookie',
          security: [],
          body: signInBody,
          response: { 200: signedInView, ...problemResponses },
        },
      },
      async (request, reply) => {
        browser.refuseOtherSites(request);
        const { email, password, otp, recovery_code } = request.body;
        const given = { email, password, otp, recoveryCode: recovery_code };
        const { user, factorNeeded, codeShown } = await passwordSignIn.check(given, request.clientNetwork);
        if (factorNeeded) return waitingSignIns.begin(user);
        const by = codeShown ? 'password+code' : 'password';
        return browser.signIn(request, reply, user, { by, secondFactor: codeShown });
      },
    );

    api.post(
      '/auth/sign-in/second-factor',
      {
        config: { access: noCredential },
        schema: {
          tags,
          summary: 'Go on with a sign-in that needs a code',
          security: [],
          body: secondFactorBody,
          response: { 200: signedInView, ...problemResponses },
        },
      },
      async (request, reply) => {
        browser.refuseOtherSites(request);
        const { sign_in, otp, recovery_code } = request.body;
        const user = await waitingSignIns.finish(sign_in, { otp, recoveryCode: recovery_code });
        return browser.signIn(request, reply, user, { by: 'password+code', secondFactor: true });
      },
    );

    api.post(
      '/auth/invitations/accept',
      {
        config: { access: { public: 'The invitation is the credential.' } },
        schema: {
          tags,
          summary: 'Accept an invitation: choose a password and be signed in',
          security: [],
          body: acceptBody,
          response: { 201: signedInView, ...problemResponses },
        },
      },
      async (request, reply) => {
        browser.refuseOtherSites(request);
        const { token, password, name } = request.body;
        const user = await people.acceptInvitation(token, password, name ?? null);
        await tries.welcome(user.email, user.id, request.clientNetwork);
        return reply
          .code(201)
          .send(await browser.signIn(request, reply, user, { by: 'invitation', secondFactor: false }));
      },
    );

    api.post(
      '/auth/password/reset',
      {
        config: { access: { public: 'The reset link is the credential.' } },
        schema: {
          tags,
          summary: 'Set a new password with a reset link; every session ends',
          security: [],
          body: resetBody,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.resetPassword(request.body.token, request.body.password);
        await tries.welcome(user.email, user.id, request.clientNetwork);
        return reply.code(204).send(null);
      },
    );
  };
}
