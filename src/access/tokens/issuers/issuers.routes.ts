import { z } from 'zod';
import { problemResponses, type Routes } from '../../../platform/api.ts';
import { issuedUserQuery, issuedUserView, issuerBody, issuerParams, issuerView } from './issuers.schema.ts';
import type { ShownIssuer, TokenIssuers } from './issuers.service.ts';

const config = { access: { permission: 'sign_in:manage' } } as const;
const tags = ['Sign-in'];

/** Issuers elsewhere whose tokens are accepted; mounted under /api/v1. */
export function tokenIssuersRoutes(issuers: TokenIssuers): Routes {
  return (api) => {
    api.get(
      '/auth/issuers',
      {
        config,
        schema: {
          tags,
          summary: 'List the issuers whose tokens are accepted',
          response: { 200: z.object({ issuers: z.array(issuerView) }), ...problemResponses },
        },
      },
      async (request) => ({ issuers: (await issuers.list(request.principal)).map(show) }),
    );

    api.get(
      '/auth/issuers/:name',
      {
        config,
        schema: {
          tags,
          summary: 'An issuer whose tokens are accepted, and what is known of its keys',
          params: issuerParams,
          response: { 200: issuerView, ...problemResponses },
        },
      },
      async (request) => show(await issuers.one(request.principal, request.params.name)),
    );

    api.put(
      '/auth/issuers/:name',
      {
        config,
        schema: {
          tags,
          summary: 'Accept tokens of an issuer; an owner who names no tenant does so for the platform',
          params: issuerParams,
          body: issuerBody,
          response: { 200: issuerView, ...problemResponses },
        },
      },
      async (request) => show(await issuers.put(request.principal, request.params.name, request.body)),
    );

    api.delete(
      '/auth/issuers/:name',
      {
        config,
        schema: {
          tags,
          summary: 'Accept tokens of an issuer no longer',
          params: issuerParams,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await issuers.remove(request.principal, request.params.name);
        return reply.code(204).send(null);
      },
    );

    api.get(
      '/auth/issuers/:name/user',
      {
        config,
        schema: {
          tags,
          summary: 'The id here of somebody whom an issuer knows, for readers of documents and for limits',
          params: issuerParams,
          querystring: issuedUserQuery,
          response: { 200: issuedUserView, ...problemResponses },
        },
      },
      async (request) => {
        const id = await issuers.userId(request.principal, request.params.name, request.query);
        return { user_id: id, reader: `user:${id}` };
      },
    );
  };
}

function show({ row, keys }: ShownIssuer): z.infer<typeof issuerView> {
  const { id: _id, created_by: _by, created_at, updated_at, ...settings } = row;
  return {
    ...settings,
    keys: keys && {
      read_at: keys.readAt?.toISOString() ?? null,
      count: keys.keys,
      problem: keys.problem,
    },
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  };
}
