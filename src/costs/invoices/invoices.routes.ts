import { z } from 'zod';
import { problemResponses, type Routes } from '../../platform/api.ts';
import { nextCursor, pageOfUuids } from '../../platform/page.ts';
import { usdFromNano } from '../money.ts';
import { invoiceCsv } from './invoice-csv.ts';
import { type InvoiceLine, usdFromCents } from './invoice-lines.ts';
import { invoicePdf } from './invoice-pdf.ts';
import { formatQuery, invoiceHeadView, invoiceParams, invoiceQuery, invoiceView } from './invoices.schema.ts';
import { type Invoice, type Invoices, issuedHead, type WholeInvoice } from './invoices.service.ts';

/** What PDFs are drawn with, read when the first one is. */
export type FontOf = () => Parameters<typeof invoicePdf>[1];

export function invoicesRoutes(invoices: Invoices, fontOf: FontOf, now: () => Date): Routes {
  return (api) => {
    api.get(
      '/costs/invoices',
      {
        config: { access: { permission: 'costs:read' }, audited: 'read' },
        schema: {
          tags: ['Costs'],
          summary:
            'List invoices, the latest month first; the month that goes on is a draft on the first page',
          querystring: invoiceQuery,
          response: {
            200: z.object({ invoices: z.array(invoiceHeadView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const { draft, issued } = await invoices.list(request.principal, pageOfUuids(request.query));
        const cursors = issued.map(({ id, period_start }) => ({ id, created_at: period_start }));
        return {
          invoices: [...(draft ? [draft] : []), ...issued.map(issuedHead)].map(showHead),
          next_cursor: nextCursor(cursors, request.query.limit),
        };
      },
    );

    api.get(
      '/costs/invoices/:id',
      {
        config: { access: { permission: 'costs:read' }, audited: 'read' },
        schema: {
          tags: ['Costs'],
          summary: 'Show an invoice by id or month, as JSON or CSV',
          params: invoiceParams,
          querystring: formatQuery,
          response: { 200: invoiceView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const invoice = await invoices.invoice(request.principal, request.params.id);
        const format = request.query.format ?? (asksForCsv(request.headers.accept) ? 'csv' : 'json');
        reply.header('vary', 'accept');
        if (format === 'json') return showWhole(invoice);
        reply.type('text/csv; charset=utf-8').header('content-disposition', attachment(invoice, 'csv'));
        // As bytes: a string would be checked against the JSON form.
        return reply.send(Buffer.from(invoiceCsv(invoice), 'utf8') as never);
      },
    );

    api.get(
      '/costs/invoices/:id.pdf',
      {
        config: { access: { permission: 'costs:read' }, audited: 'read' },
        schema: {
          tags: ['Costs'],
          summary: 'Show an invoice by id or month, as PDF',
          params: invoiceParams,
          response: { 200: z.unknown().describe('application/pdf'), ...problemResponses },
        },
      },
      async (request, reply) => {
        const invoice = await invoices.invoice(request.principal, request.params.id);
        const pdf = await invoicePdf(invoice, fontOf(), now());
        reply.type('application/pdf').header('content-disposition', attachment(invoice, 'pdf'));
        return reply.send(pdf);
      },
    );
  };
}

/** Whether CSV is named and stands before any JSON; weights are not looked at. */
function asksForCsv(accept: string | undefined): boolean {
  const csv = accept?.indexOf('text/csv') ?? -1;
  const json = accept?.indexOf('application/json') ?? -1;
  return csv >= 0 && (json < 0 || csv < json);
}

function attachment(invoice: Invoice, ending: string): string {
  return `attachment; filename="invoice-${invoice.number ?? `${invoice.tenant.slug}-${invoice.month}-draft`}.${ending}"`;
}

function showHead(invoice: Invoice) {
  return {
    id: invoice.id,
    status: invoice.status,
    number: invoice.number,
    month: invoice.month,
    time_zone: invoice.timeZone,
    period_start: invoice.start.toISOString(),
    period_end: invoice.end.toISOString(),
    tenant: invoice.tenant,
    currency: 'USD' as const,
    total_usd: usdFromCents(invoice.totalCents),
    exact_total_usd: usdFromNano(invoice.exactNanoUsd),
    issued_at: invoice.issuedAt?.toISOString() ?? null,
  };
}

function showWhole(invoice: WholeInvoice) {
  return { ...showHead(invoice), lines: invoice.lines.map(showLine) };
}

function showLine({ kind, month, provider, model, description, count, tokens, nanoUsd, cents }: InvoiceLine) {
  return {
    ...{ kind, month, provider, model, description, tokens },
    calls: count,
    exact_usd: usdFromNano(nanoUsd),
    amount_usd: usdFromCents(cents),
  };
}
