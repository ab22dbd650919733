import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { nextCursor, pageOfUuids, pageQuery } from '../../platform/page.ts';
import { roleBody, roleChangeBody, roleList, roleParams, roleView } from './roles.schema.ts';
import { type Roles, type ShownRole, shownRole } from './roles.service.ts';

const config = { access: { permission: 'roles:manage' } } as const;
const tags = ['Roles'];

export function roleRoutes(roles: Roles): Routes {
  return (api) => {
    api.get(
      '/roles',
      {
        config,
        schema: {
          tags,
          summary: 'The built-in roles, and those of your own',
          querystring: pageQuery,
          response: { 200: roleList, ...problemResponses },
        },
      },
      async (request) => {
        const page = pageOfUuids(request.query);
        const rows = await roles.page(request.principal, page);
        return {
          built_in: roles.builtIn.map(showRole),
          roles: rows.map((row) => showRole(shownRole(row))),
          next_cursor: nextCursor(rows, page.limit),
        };
      },
    );

    api.post(
      '/roles',
      {
        config,
        schema: {
          tags,
          summary: 'Make a role of your own',
          body: roleBody,
          response: { 201: roleView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { document_condition: documentCondition, ...given } = request.body;
        const role = await roles.add(request.principal, { ...given, documentCondition });
        return reply.code(201).header('location', `/api/v1/roles/${role.name}`).send(showRole(role));
      },
    );

    api.get(
      '/roles/:name',
      {
        config,
        schema: {
          tags,
          summary: 'A role',
          params: roleParams,
          response: { 200: roleView, ...problemResponses },
        },
      },
      async (request) => showRole(await roles.byName(request.principal, request.params.name)),
    );

    api.patch(
      '/roles/:name',
      {
        config,
        schema: {
          tags,
          summary: 'Change a role of your own; holds for everybody who has it',
          params: roleParams,
          body: roleChangeBody,
          response: { 200: roleView, ...problemResponses },
        },
      },
      async (request) => {
        const { document_condition: documentCondition, ...change } = request.body;
        return showRole(
          await roles.change(request.principal, request.params.name, { ...change, documentCondition }),
        );
      },
    );

    api.delete(
      '/roles/:name',
      {
        config,
        schema: {
          tags,
          summary: 'Delete a role of your own that nobody holds',
          params: roleParams,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await roles.remove(request.principal, request.params.name);
        return reply.code(204).send(null);
      },
    );
  };
}

function showRole({
  builtIn,
  documentCondition,
  createdAt,
  updatedAt,
  ...role
}: ShownRole): z.infer<typeof roleView> {
  return {
    name: role.name,
    description: role.description,
    built_in: builtIn,
    permissions: [...role.permissions],
    document_condition: documentCondition && { ...documentCondition },
    created_at: createdAt?.toISOString() ?? null,
    updated_at: updatedAt?.toISOString() ?? null,
  };
}
