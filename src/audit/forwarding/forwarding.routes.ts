import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { destinationBody, destinationName, destinationView, storedView } from './forwarding.schema.ts';
import type { Forwarding, ShownDestination } from './forwarding.service.ts';

export function forwardingRoutes(forwarding: Forwarding): Routes {
  return (api) => {
    const config = { access: { permission: 'audit:forward' } } as const;
    const params = z.object({ name: destinationName });

    api.get(
      '/audit-logs/forwarding',
      {
        config,
        schema: {
          tags: ['Audit'],
          summary: 'Where the audit log is forwarded to, and how far each destination is behind',
          response: { 200: z.object({ destinations: z.array(destinationView) }), ...problemResponses },
        },
      },
      async () => ({ destinations: (await forwarding.list()).map(show) }),
    );

    api.put(
      '/audit-logs/forwarding/:name',
      {
        config,
        schema: {
          tags: ['Audit'],
          summary: 'Forward the audit log by syslog, to a webhook or into an S3 bucket',
          params,
          body: destinationBody,
          response: { 200: storedView, ...problemResponses },
        },
      },
      async (request) => {
        const { secret, ...stored } = await forwarding.put(request.params.name, request.body, {
          isOwner: request.principal.role === 'owner',
          tenantId: request.principal.tenantId,
        });
        return { ...show(stored), secret };
      },
    );

    api.delete(
      '/audit-logs/forwarding/:name',
      {
        config,
        schema: {
          tags: ['Audit'],
          summary: 'Stop forwarding to a destination, and forget how far it got',
          params,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await forwarding.remove(request.params.name);
        return reply.code(204).send(null);
      },
    );
  };
}

function show({ row, lag }: ShownDestination): z.infer<typeof destinationView> {
  const { kind, ...target } = row.shown;
  return {
    name: row.name,
    kind,
    enabled: row.enabled,
    tenants: row.tenants,
    target: 'accessKeyId' in target ? withoutId(target) : target,
    secret_reference: row.secret_reference,
    state: !row.enabled ? 'off' : row.failing_since === null ? 'ok' : 'failing',
    last_error: row.last_error,
    failing_since: row.failing_since?.toISOString() ?? null,
    next_try_at: row.next_try_at?.toISOString() ?? null,
    lag: {
      entries: lag?.entries ?? 0,
      oldest: lag?.oldest?.toISOString() ?? null,
      lost: lag?.lost ?? 0,
    },
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

function withoutId({ accessKeyId, ...target }: Readonly<Record<string, unknown>>) {
  return { ...target, access_key_id: accessKeyId };
}
