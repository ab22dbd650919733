import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { nextCursor, pageOfUuids, pageQuery } from '../../platform/page.ts';
import {
  createdInvitationView,
  invitationBody,
  invitationView,
  resetLinkView,
  userChangeBody,
  userView,
} from './people.schema.ts';
import type { People } from './people.service.ts';
import type { PeopleParts } from './people-parts.ts';

type UserRow = Awaited<ReturnType<People['user']>>;
type InvitationRow = Awaited<ReturnType<People['invitations']>>[number];

const reading = { access: { permission: 'users:read' }, audited: 'read' } as const;
const managing = { access: { permission: 'users:manage' } } as const;
const tags = ['Users'];
const idParams = z.object({ id: z.string().max(100) });

/** What administrators do with the users of their tenant. */
export function usersRoutes({ people, sessions, secondFactors }: PeopleParts): Routes {
  return (api) => {
    api.get(
      '/users',
      {
        config: reading,
        schema: {
          tags,
          summary: 'List users, newest first',
          querystring: pageQuery,
          response: {
            200: z.object({ users: z.array(userView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const rows = await people.users(request.principal, pageOfUuids(request.query));
        return { users: rows.map(showUser), next_cursor: nextCursor(rows, request.query.limit) };
      },
    );

    api.get(
      '/users/:id',
      {
        config: reading,
        schema: {
          tags,
          summary: 'One user',
          params: idParams,
          response: { 200: userView, ...problemResponses },
        },
      },
      async (request) => showUser(await people.user(request.principal, request.params.id)),
    );

    api.patch(
      '/users/:id',
      {
        config: managing,
        schema: {
          tags,
          summary:
            'Change a user; another role, other groups or attributes and closing the account end every session',
          params: idParams,
          body: userChangeBody,
          response: { 200: userView, ...problemResponses },
        },
      },
      async (request) => {
        const given = Object.fromEntries(
          Object.entries(request.body).filter(([, value]) => value !== undefined),
        );
        return showUser(await people.changeUser(request.principal, request.params.id, given));
      },
    );

    api.delete(
      '/users/:id',
      {
        config: managing,
        schema: {
          tags,
          summary: 'Delete a user with their sessions, keys and second factors',
          params: idParams,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await people.deleteUser(request.principal, request.params.id);
        return reply.code(204).send(null);
      },
    );

    api.delete(
      '/users/:id/sessions',
      {
        config: managing,
        schema: {
          tags,
          summary: 'End every session of a user',
          params: idParams,
          response: { 200: z.object({ ended: z.number().int() }), ...problemResponses },
        },
      },
      async (request) => {
        const user = await people.manageable(request.principal, request.params.id);
        return { ended: await sessions.revokeAll(request.principal, user.id, null) };
      },
    );

    api.post(
      '/users/:id/password-reset',
      {
        config: managing,
        schema: {
          tags,
          summary: 'Make a link that sets a new password, to be handed to the user; an hour, once',
          params: idParams,
          response: { 201: resetLinkView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { token, expiresAt } = await people.resetLink(request.principal, request.params.id);
        reply.header('cache-control', 'no-store');
        return reply.code(201).send({ token, expires_at: expiresAt.toISOString() });
      },
    );

    api.delete(
      '/users/:id/second-factors',
      {
        config: managing,
        schema: {
          tags,
          summary: 'Take one-time codes and passkeys off a user who has lost the device; every session ends',
          params: idParams,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        const user = await people.manageable(request.principal, request.params.id);
        await secondFactors.removeFor(user);
        sessions.userChanged(user.id);
        return reply.code(204).send(null);
      },
    );

    api.post(
      '/users/invitations',
      {
        config: managing,
        schema: {
          tags,
          summary: 'Invite somebody, by mail or by a token for you to hand over; good for 72 hours',
          body: invitationBody,
          response: { 201: createdInvitationView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { row, token } = await people.invite(request.principal, request.body);
        reply.header('cache-control', 'no-store');
        return reply.code(201).send({ ...showInvitation(row), token });
      },
    );

    api.get(
      '/users/invitations',
      {
        config: reading,
        schema: {
          tags,
          summary: 'List invitations that were not accepted yet, newest first',
          querystring: pageQuery,
          response: {
            200: z.object({ invitations: z.array(invitationView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const rows = await people.invitations(request.principal, pageOfUuids(request.query));
        return { invitations: rows.map(showInvitation), next_cursor: nextCursor(rows, request.query.limit) };
      },
    );

    api.delete(
      '/users/invitations/:id',
      {
        config: managing,
        schema: {
          tags,
          summary: 'Withdraw an invitation',
          params: idParams,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await people.withdrawInvitation(request.principal, request.params.id);
        return reply.code(204).send(null);
      },
    );
  };
}

export function showUser(row: UserRow) {
  const { id, tenant_id, email, name, role, groups, attributes, password_hash } = row;
  return {
    id,
    tenant_id,
    email,
    name,
    role,
    groups,
    attributes,
    has_password: password_hash !== null,
    email_verified_at: row.email_verified_at?.toISOString() ?? null,
    disabled_at: row.disabled_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  };
}

function showInvitation(row: InvitationRow) {
  const { id, tenant_id, email, role, groups } = row;
  return {
    id,
    tenant_id,
    email,
    role,
    groups,
    mailed_at: row.mailed_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at.toISOString(),
  };
}
