import { readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import PDFDocument from 'pdfkit';
import { type InvoiceLine, type TokenClass, tokenClasses, usdFromCents } from './invoice-lines.ts';
import type { WholeInvoice } from './invoices.service.ts';
import { unpackWoff } from './woff.ts';

export interface InvoiceFont {
  readonly regular: Buffer;
  readonly bold: Buffer;
}

/**
 * Latin, Greek, Cyrillic and Vietnamese letters and the signs of currencies; no others. The WOFF files: accented letters of
 * the WOFF2 ones cannot be embedded by fontkit 2.0.4.
 */
export function bundledFont(): InvoiceFont {
  const read = (name: string) =>
    unpackWoff(
      readFileSync(new URL(`fonts/roboto/${name}.woff`, import.meta.resolve('roboto-fontface/package.json'))),
    );
  return { regular: read('Roboto-Regular'), bold: read('Roboto-Medium') };
}

/** Drawing one takes about a millisecond; what is beyond is one line that says where the rest is. */
const maxDrawnLines = 300;
/** Others have their turn after so many. */
const linesInATurn = 20;
/** Stands for a letter that the font does not have. */
const missing = '?';

const page = { left: 50, right: 545, top: 56, bottom: 770 };
/** Right edges of the columns of figures. */
const columns = { count: 305, input: 385, output: 460, amount: page.right };
const grey = '#666666';

const shownTokens: Readonly<Record<TokenClass, string>> = {
  input: 'input',
  cached_read: 'cached read',
  cache_write_5m: 'cache write 5 m',
  cache_write_1h: 'cache write 1 h',
  output: 'output',
  reasoning: 'reasoning',
  image: 'image',
  audio: 'audio',
};

type Document = InstanceType<typeof PDFDocument>;

/**
 * Draws an invoice on A4. Amounts are whole cents that add up to the total. The same issued invoice gives the same bytes.
 * @param now the date that a draft shows.
 */
export async function invoicePdf(invoice: WholeInvoice, font: InvoiceFont, now: Date): Promise<Buffer> {
  const shownAt = invoice.issuedAt ?? now;
  const document = new PDFDocument({
    size: 'A4',
    margins: { top: page.top, bottom: 40, left: page.left, right: 595 - page.right },
    bufferPages: true,
    info: {
      Title: `Invoice ${invoice.number ?? invoice.month}`,
      Producer: 'Gatehouse',
      CreationDate: shownAt,
    },
  });
  const parts: Buffer[] = [];
  const ended = new Promise<void>((resolve, reject) => {
    document.on('data', (part: Buffer) => parts.push(part));
    document.once('end', resolve);
    document.once('error', reject);
  });
  document.registerFont('regular', font.regular);
  document.registerFont('bold', font.bold);
  const say = drawable(document);

  heading(document, invoice, say, shownAt);
  tableHead(document);
  for (const [index, line] of drawnLines(invoice.lines).entries()) {
    if (index % linesInATurn === linesInATurn - 1) await nextTurn();
    tableLine(document, line, invoice.month, say);
  }
  total(document, invoice, say);
  pageNumbers(document, invoice);
  document.end();
  await ended;
  return Buffer.concat(parts);
}

function heading(document: Document, invoice: WholeInvoice, say: Say, shownAt: Date): void {
  const issued = invoice.status === 'issued';
  document
    .font('bold')
    .fontSize(22)
    .text(issued ? 'Invoice' : 'Invoice (draft)', page.left, page.top);
  document.moveDown(0.6);
  const facts: [string, string][] = [
    ['Number', invoice.number ?? 'none: the month is not over'],
    [issued ? 'Issued' : 'As of', `${shownAt.toISOString().slice(0, 16).replace('T', ' ')} UTC`],
    ['For', say(invoice.tenant.name)],
    ['Tenant', invoice.tenant.slug],
    ['Period', period(invoice)],
    ['Currency', 'US dollars (USD)'],
  ];
  for (const [name, value] of facts) {
    const { y } = document;
    document.font('regular').fontSize(10).fillColor(grey).text(name, page.left, y, { width: 70 });
    document.fillColor('black').text(value, page.left + 75, y, { width: page.right - page.left - 75 });
    document.y = Math.max(document.y, y + 15);
  }
  document.y += 14;
}

function tableHead(document: Document): void {
  const { y } = document;
  document.font('bold').fontSize(9).fillColor('black').text('Provider and model', page.left, y);
  figure(document, 'Calls', columns.count, y);
  figure(document, 'Input tokens', columns.input, y);
  figure(document, 'Output tokens', columns.output, y);
  figure(document, 'Amount', columns.amount, y);
  document.y = y + 16;
  rule(document);
}

function tableLine(document: Document, line: InvoiceLine, month: string, say: Say): void {
  const name = say(nameOf(line));
  const details = say(detailsOf(line, month));
  const width = columns.count - page.left - 40;
  document.font('regular').fontSize(9);
  const height = document.heightOfString(name, { width }) + (details ? 12 : 2);
  if (document.y + height > page.bottom) {
    document.addPage();
    document.y = page.top;
    tableHead(document);
  }
  const { y } = document;
  document.font('regular').fontSize(9).fillColor('black').text(name, page.left, y, { width });
  const below = document.y;
  figure(document, grouped(line.count), columns.count, y);
  if (line.kind !== 'adjustment') {
    figure(document, grouped(line.tokens.input), columns.input, y);
    figure(document, grouped(line.tokens.output), columns.output, y);
  }
  figure(document, line.kind === 'unpriced' ? 'no price' : groupedUsd(line.cents), columns.amount, y);
  if (details) {
    document.fontSize(7.5).fillColor(grey);
    document.text(details, page.left, below, { width: page.right - page.left, height: 9, ellipsis: true });
  }
  document.y = Math.max(below, y + 11) + (details ? 12 : 2);
}

function total(document: Document, invoice: WholeInvoice, say: Say): void {
  if (document.y + 60 > page.bottom) {
    document.addPage();
    document.y = page.top;
  }
  rule(document);
  const { y } = document;
  document
    .font('bold')
    .fontSize(11)
    .fillColor('black')
    .text('Total', page.left, y + 4);
  figure(document, `USD ${groupedUsd(invoice.totalCents)}`, columns.amount, y + 4);
  const calls = invoice.lines.reduce((sum, { kind, count }) => (kind === 'unpriced' ? sum + count : sum), 0);
  const notes = [
    ...(calls > 0
      ? [
          `${grouped(calls)} calls have no known price and are not in the total. They are added when they have one.`,
        ]
      : []),
    ...(say.lacked()
      ? [
          `Letters that the font of this document lacks are shown as "${missing}". CSV and JSON have all of them.`,
        ]
      : []),
  ];
  document.font('regular').fontSize(9).fillColor(grey);
  document.text(notes.join('\n'), page.left, y + 26);
}

function pageNumbers(document: Document, invoice: WholeInvoice): void {
  const { start, count } = document.bufferedPageRange();
  for (let index = start; index < start + count; index++) {
    document.switchToPage(index);
    document.font('regular').fontSize(8).fillColor(grey);
    const text = `${invoice.number ?? `${invoice.month} (draft)`} · page ${index + 1} of ${count}`;
    document.text(text, page.left, 790, { lineBreak: false });
  }
}

function figure(document: Document, text: string, right: number, y: number): void {
  document.text(text, right - 100, y, { width: 100, align: 'right', lineBreak: false });
}

function rule(document: Document): void {
  const { y } = document;
  document.moveTo(page.left, y).lineTo(page.right, y).lineWidth(0.5).strokeColor(grey).stroke();
  document.y = y + 5;
}

function nameOf(line: InvoiceLine): string {
  const name = line.provider === null ? null : [line.provider, line.model].filter(Boolean).join(' / ');
  return [line.description, name].filter(Boolean).join(' – ');
}

function detailsOf(line: InvoiceLine, month: string): string {
  const parts =
    line.month === month ? [] : [line.month === 'earlier' ? 'earlier months' : `of ${line.month}`];
  for (const name of tokenClasses) {
    const tokens = line.tokens[name];
    if (name !== 'input' && name !== 'output' && tokens > 0)
      parts.push(`${shownTokens[name]} ${grouped(tokens)}`);
  }
  return parts.join(' · ');
}

function drawnLines(lines: readonly InvoiceLine[]): readonly InvoiceLine[] {
  if (lines.length <= maxDrawnLines) return lines;
  const drawn = lines.slice(0, maxDrawnLines - 1);
  const rest = lines.slice(maxDrawnLines - 1);
  const sum = (count: (line: InvoiceLine) => number) => rest.reduce((all, line) => all + count(line), 0);
  const tokens = Object.fromEntries(tokenClasses.map((name) => [name, sum((line) => line.tokens[name])]));
  const [first] = rest;
  return first === undefined
    ? drawn
    : [
        ...drawn,
        {
          ...first,
          kind: 'usage',
          month: first.month,
          provider: null,
          model: null,
          description: `${rest.length} further lines, which the CSV and JSON of this invoice show`,
          count: sum(({ count }) => count),
          tokens: tokens as InvoiceLine['tokens'],
          cents: rest.reduce((all, { cents }) => all + cents, 0n),
        },
      ];
}

/** Days as the tenant's clocks show them, both included. */
function period({ start, end, timeZone }: WholeInvoice): string {
  const day = (at: Date) =>
    new Intl.DateTimeFormat('en-GB', { timeZone, day: 'numeric', month: 'long', year: 'numeric' }).format(at);
  return `${day(start)} to ${day(new Date(end.getTime() - 1))} (${timeZone})`;
}

function grouped(count: number): string {
  return groupedDigits(String(count));
}

function groupedUsd(cents: bigint): string {
  const [whole = '', fraction = ''] = usdFromCents(cents).split('.');
  return `${groupedDigits(whole)}.${fraction}`;
}

function groupedDigits(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, ',');
}

interface Say {
  /** @returns what the font can show of a text. */
  (text: string): string;
  /** Whether there was something that it could not. */
  lacked(): boolean;
}

function drawable(document: Document): Say {
  document.font('regular');
  // The library does not tell; it draws an empty box, or nothing.
  const { _font } = document as unknown as {
    _font: { font: { hasGlyphForCodePoint(point: number): boolean } };
  };
  let lacked = false;
  const letterOf = (letter: string) => {
    if (/\s/.test(letter)) return ' ';
    if (_font.font.hasGlyphForCodePoint(letter.codePointAt(0) ?? 0)) return letter;
    lacked = true;
    return missing;
  };
  return Object.assign((text: string) => Array.from(text, letterOf).join(''), { lacked: () => lacked });
}
