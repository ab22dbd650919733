import { z } from 'zod';
import { problemResponses, type Routes } from '../platform/api.ts';
import { nextCursor, pageOfUuids } from '../platform/page.ts';
import { deliveriesQuery, deliveryView } from './notifications.schema.ts';
import type { Notifier } from './notifications.service.ts';
import { showDelivery } from './wire-form.ts';

const access = { permission: 'notifications:manage' } as const;
const tags = ['Notifications'];

export function deliveryRoutes(notifier: Notifier): Routes {
  return (api) => {
    api.get(
      '/notifications/deliveries',
      {
        config: { access },
        schema: {
          tags,
          summary: 'List deliveries, newest first',
          querystring: deliveriesQuery,
          response: {
            200: z.object({ deliveries: z.array(deliveryView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const { channel_id, state, event_kind, limit } = request.query;
        const rows = await notifier.deliveries(
          request.principal,
          { channelId: channel_id ?? null, state: state ?? null, eventKind: event_kind ?? null },
          pageOfUuids(request.query),
        );
        return { deliveries: rows.map(showDelivery), next_cursor: nextCursor(rows, limit) };
      },
    );

    api.post(
      '/notifications/deliveries/:id/redeliver',
      {
        config: { access, audited: { deed: 'notification_delivery.repeated' } },
        schema: {
          tags,
          summary: 'Send what was delivered or given up once more, under the same id',
          params: z.object({ id: z.string().max(100) }),
          response: { 202: deliveryView, ...problemResponses },
        },
      },
      async (request, reply) =>
        reply.code(202).send(showDelivery(await notifier.redeliver(request.principal, request.params.id))),
    );
  };
}
