import { type FastifyReply, problemResponses, type Routes } from '../../platform/api.ts';
import type { DatabaseScope } from '../../platform/database/database.ts';
import { AppError } from '../../platform/errors.ts';
import { csvStream } from './csv.ts';
import type { Recommendations } from './recommendations.service.ts';
import {
  breakdownQuery,
  breakdownView,
  forecastView,
  longestPage,
  recommendationsView,
} from './reports.schema.ts';
import type { Breakdown, Reports } from './reports.service.ts';
import { lineColumns, notesOn, showForecast, showLine, showRecommendations } from './reports.view.ts';

const defaultPage = 50;

export function reportsRoutes(
  reports: Reports & { readonly recommendations: (scope: DatabaseScope) => Promise<Recommendations> },
): Routes {
  return (api) => {
    api.get(
      '/costs/breakdown',
      {
        config: { access: { permission: 'costs:read' }, audited: 'read' },
        schema: {
          tags: ['Costs'],
          summary: 'What costs are made up of: by user, key, prompt, model, provider, route, tag or day',
          description:
            'As CSV with `format=csv` or `Accept: text/csv`; where there are more lines than a page holds, the header `Link` names the next one. A call with several tags counts in each of their lines.',
          querystring: breakdownQuery,
          response: { 200: breakdownView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { query, principal } = request;
        const csv = (query.format ?? formatOf(request.headers.accept)) === 'csv';
        const limit = query.limit ?? (csv ? longestPage.csv : defaultPage);
        if (!csv && limit > longestPage.json) {
          throw new AppError('invalid', `A page of JSON has at most ${longestPage.json} lines.`, {
            errors: [{ path: 'limit', message: `at most ${longestPage.json}, or ask for CSV` }],
          });
        }
        const { by, from, to, cursor } = query;
        const found = await reports.breakdown(principal, { by, from, to, limit, cursor });
        if (csv) return sendCsv(reply, request.url, by, found) as never;
        return {
          by,
          from: found.from.toISOString(),
          to: found.to.toISOString(),
          time_zone: principal.tenant.timeZone,
          lines: found.lines.map(showLine),
          notes: notesOn(by),
          next_cursor: found.nextCursor,
        };
      },
    );

    api.get(
      '/costs/forecast',
      {
        config: { access: { permission: 'costs:read' } },
        schema: {
          tags: ['Costs'],
          summary: 'What this month will have cost at its end, with a range, and how that was computed',
          response: { 200: forecastView, ...problemResponses },
        },
      },
      async ({ principal }) => showForecast(await reports.forecast(principal), principal.tenant.timeZone),
    );

    api.get(
      '/costs/recommendations',
      {
        config: { access: { permission: 'costs:read' } },
        schema: {
          tags: ['Costs'],
          summary: 'What would save money, each with its arithmetic, and what cannot be computed',
          response: { 200: recommendationsView, ...problemResponses },
        },
      },
      async ({ principal }) => showRecommendations(await reports.recommendations(principal)),
    );
  };
}

function formatOf(accept: string | undefined): 'json' | 'csv' {
  return accept !== undefined && /\btext\/csv\b/i.test(accept) ? 'csv' : 'json';
}

function sendCsv(reply: FastifyReply, url: string, by: string, found: Breakdown): FastifyReply {
  reply
    .type('text/csv; charset=utf-8; header=present')
    .header('content-disposition', `attachment; filename="costs-by-${by}.csv"`);
  if (found.nextCursor !== null) {
    const next = new URL(url, 'http://localhost');
    next.searchParams.set('cursor', found.nextCursor);
    reply.header('link', `<${next.pathname}${next.search}>; rel="next"`);
  }
  return reply.send(csvStream(lineColumns(by), found.lines));
}
