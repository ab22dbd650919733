import { z } from 'zod';
import { problemResponses, type Routes } from '../../../platform/api.ts';
import { forgottenBody, forgottenView, verifyBody } from '../people.schema.ts';
import type { PeopleParts } from '../people-parts.ts';
import type { Mailing } from './mailing.ts';

const tags = ['Sign-in'];
/** Of every request that was taken, whatever comes of it. */
const taken = {
  detail:
    'If this is the address of an account with a password, a link is on its way. It works for 30 minutes, once.',
};

/** Links by mail, for those who forgot their password or confirm their address. */
export function mailRoutes(parts: Pick<PeopleParts, 'people'> & { readonly mailing: Mailing }): Routes {
  const { people, mailing } = parts;
  return (api) => {
    api.post(
      '/auth/password/forgotten',
      {
        config: { access: { public: 'Whoever forgot the password has no credential.' } },
        schema: {
          tags,
          summary:
            'Have a link for a new password mailed; the answer does not tell whether there is an account',
          security: [],
          body: forgottenBody,
          response: { 202: forgottenView, ...problemResponses },
        },
      },
      async (request, reply) => {
        await mailing.forgotten(request.body.email, request.clientNetwork);
        return reply.code(202).send(taken);
      },
    );

    api.post(
      '/auth/email/verification',
      {
        config: { access: { permission: 'account:manage' } },
        schema: {
          tags,
          summary: 'Have a link mailed that confirms one’s own address; a day, once',
          response: { 202: forgottenView, ...problemResponses },
        },
      },
      async (request, reply) => {
        await mailing.verification(await people.self(request.principal), request.clientNetwork);
        return reply
          .code(202)
          .send({ detail: 'A link is on its way to your address. It works for a day, once.' });
      },
    );

    api.post(
      '/auth/email/verify',
      {
        config: { access: { public: 'The link is the credential.' } },
        schema: {
          tags,
          summary: 'Confirm an address with the link that was mailed there',
          security: [],
          body: verifyBody,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await mailing.verify(request.body.token);
        return reply.code(204).send(null);
      },
    );
  };
}
