import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { nextCursor, pageOfUuids } from '../../platform/page.ts';
import type { Alerts } from './alerts.service.ts';
import { alertQuery, alertView } from './reports.schema.ts';

type Row = Awaited<ReturnType<Alerts['acknowledge']>>;

export function alertsRoutes(alerts: Pick<Alerts, 'list' | 'acknowledge'>): Routes {
  return (api) => {
    api.get(
      '/costs/alerts',
      {
        config: { access: { permission: 'costs:read' } },
        schema: {
          tags: ['Costs'],
          summary: 'List alerts: budgets that are reached or will be, unusual spend, models without a price',
          querystring: alertQuery,
          response: {
            200: z.object({ alerts: z.array(alertView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async ({ principal, query }) => {
        const { kind, state } = query;
        const rows = await alerts.list(principal, { ...pageOfUuids(query), kind: kind ?? null, state });
        return { alerts: rows.map(showAlert), next_cursor: nextCursor(rows, query.limit) };
      },
    );

    api.post(
      '/costs/alerts/:id/acknowledge',
      {
        config: { access: { permission: 'costs:manage' } },
        schema: {
          tags: ['Costs'],
          summary: 'Note that an alert was seen; again changes nothing',
          params: z.object({ id: z.uuid() }),
          response: { 200: alertView, ...problemResponses },
        },
      },
      async ({ principal, params }) => showAlert(await alerts.acknowledge(principal, params.id)),
    );
  };
}

function showAlert(row: Row): z.input<typeof alertView> {
  const { dedupe_key: _, data, created_at, acknowledged_at, ...plain } = row;
  return {
    ...plain,
    data: { ...data },
    created_at: created_at.toISOString(),
    acknowledged_at: acknowledged_at?.toISOString() ?? null,
  };
}
