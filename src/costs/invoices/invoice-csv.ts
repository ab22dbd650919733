import { usdFromNano } from '../money.ts';
import { tokenClasses, usdFromCents } from './invoice-lines.ts';
import type { WholeInvoice } from './invoices.service.ts';

const columns = [
  'invoice',
  'status',
  'tenant',
  'kind',
  'month',
  'provider',
  'model',
  'description',
  'calls',
  ...tokenClasses.map((name) => `${name}_tokens`),
  'exact_usd',
  'amount_usd',
];

/**
 * An invoice as CSV (RFC 4180): a row for each line, and a last one with the total. `exact_usd` has nine places and adds up
 * to the exact sum, `amount_usd` has whole cents and adds up to what is asked for.
 */
export function invoiceCsv(invoice: WholeInvoice): string {
  const head = [invoice.number ?? invoice.month, invoice.status, invoice.tenant.slug];
  const rows = invoice.lines.map((line) => [
    ...head,
    line.kind,
    line.month,
    line.provider ?? '',
    line.model ?? '',
    line.description ?? '',
    line.count,
    ...tokenClasses.map((name) => line.tokens[name]),
    line.kind === 'unpriced' ? '' : usdFromNano(line.nanoUsd),
    line.kind === 'unpriced' ? '' : usdFromCents(line.cents),
  ]);
  const total = [
    ...head,
    'total',
    invoice.month,
    ...['', '', '', ''],
    ...tokenClasses.map(() => ''),
    usdFromNano(invoice.exactNanoUsd),
    usdFromCents(invoice.totalCents),
  ];
  return [columns, ...rows, total].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/** Text that a spreadsheet would take for a formula gets a quote in front; amounts are numbers and stay as they are. */
function cell(value: string | number): string {
  const text = String(value);
  const harmless = /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
