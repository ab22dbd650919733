import { z } from 'zod';
import { problemResponses, type Routes } from '../platform/api.ts';
import { nextCursor, pageOf, pageOfUuids, pageQuery } from '../platform/page.ts';
import {
  createdKeyView,
  keyBody,
  keyPatch,
  keyView,
  rotateBody,
  tenantBody,
  tenantView,
} from './access.schema.ts';
import type { Access } from './access.service.ts';
import type { Region } from './principal.ts';

type TenantRow = Awaited<ReturnType<Access['createTenant']>>;
type KeyRow = Awaited<ReturnType<Access['keyById']>>;

export function accessRoutes(access: Access, defaultRegion: Region): Routes {
  return (api) => {
    api.post(
      '/tenants',
      {
        config: { access: { permission: 'tenants:manage' } },
        schema: {
          tags: ['Tenants'],
          summary: 'Create a tenant',
          body: tenantBody,
          response: { 201: tenantView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const row = await access.createTenant({
          ...request.body,
          region: request.body.region ?? defaultRegion,
        });
        return reply.code(201).send(showTenant(row));
      },
    );

    api.get(
      '/tenants',
      {
        config: { access: { permission: 'tenants:manage' } },
        schema: {
          tags: ['Tenants'],
          summary: 'List tenants, newest first',
          querystring: pageQuery,
          response: {
            200: z.object({ tenants: z.array(tenantView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const rows = await access.tenants(pageOfUuids(request.query));
        return { tenants: rows.map(showTenant), next_cursor: nextCursor(rows, request.query.limit) };
      },
    );

    api.post(
      '/keys',
      {
        config: { access: { permission: 'keys:manage' } },
        schema: {
          tags: ['Keys'],
          summary: 'Create an API key; the answer is the only place that ever shows it',
          body: keyBody,
          response: { 201: createdKeyView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const {
          expires_at,
          ip_allow_list: ipAllowList,
          model_allow_list: modelAllowList,
          ...given
        } = request.body;
        const { row, key } = await access.createKey(request.principal, {
          ...given,
          ipAllowList,
          modelAllowList,
          userId: null,
          expiresAt: expires_at ? new Date(expires_at) : null,
        });
        return reply.code(201).send({ ...showKey(row), key });
      },
    );

    api.get(
      '/keys',
      {
        config: { access: { permission: 'keys:manage' }, audited: 'read' },
        schema: {
          tags: ['Keys'],
          summary: 'List API keys, newest first',
          querystring: pageQuery,
          response: {
            200: z.object({ keys: z.array(keyView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const rows = await access.keys(request.principal, pageOf(request.query));
        return { keys: rows.map(showKey), next_cursor: nextCursor(rows, request.query.limit) };
      },
    );

    api.patch(
      '/keys/:id',
      {
        config: { access: { permission: 'keys:manage' } },
        schema: {
          tags: ['Keys'],
          summary: "Change an API key's name, end, attributes and allow-lists",
          params: z.object({ id: z.string().max(100) }),
          body: keyPatch,
          response: { 200: keyView, ...problemResponses },
        },
      },
      async (request) => {
        const { name, expires_at: end, attributes, ip_allow_list, model_allow_list } = request.body;
        const row = await access.changeKey(request.principal, request.params.id, {
          name,
          expiresAt: typeof end === 'string' ? new Date(end) : end,
          attributes,
          ipAllowList: ip_allow_list,
          modelAllowList: model_allow_list,
        });
        return showKey(row);
      },
    );

    api.post(
      '/keys/:id/rotate',
      {
        config: { access: { permission: 'keys:manage' } },
        schema: {
          tags: ['Keys'],
          summary: 'Give an API key another secret; the one before works on for a while',
          params: z.object({ id: z.string().max(100) }),
          body: rotateBody,
          response: { 200: createdKeyView, ...problemResponses },
        },
      },
      async (request) => {
        const { grace_seconds } = request.body;
        const { row, key } = await access.rotateKey(request.principal, request.params.id, grace_seconds);
        return { ...showKey(row), key };
      },
    );

    api.delete(
      '/keys/:id',
      {
        config: { access: { permission: 'keys:manage' } },
        schema: {
          tags: ['Keys'],
          summary: 'Revoke an API key',
          params: z.object({ id: z.string().max(100) }),
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await access.revokeKey(request.principal, request.params.id);
        return reply.code(204).send(null);
      },
    );
  };
}

export function showTenant(row: TenantRow) {
  const { id, slug, name, tier, region, status, time_zone } = row;
  return { id, slug, name, tier, region, status, time_zone, created_at: row.created_at.toISOString() };
}

function showKey(row: KeyRow) {
  const { id, tenant_id, name, role, groups, attributes, scopes, internal } = row;
  return {
    id,
    tenant_id,
    name,
    role,
    groups,
    attributes,
    scopes,
    internal,
    ip_allow_list: row.ip_allow_list,
    model_allow_list: row.model_allow_list,
    rotated_at: row.rotated_at?.toISOString() ?? null,
    previous_secret_expires_at: row.previous_expires_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
    last_used_at: row.last_used_at?.toISOString() ?? null,
  };
}
