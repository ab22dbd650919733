import { extractText, getDocumentProxy } from 'unpdf';
import { describe, expect, it } from 'vitest';
import { invoiceCsv } from './invoice-csv.ts';
import { type InvoiceItem, sumsOf } from './invoice-lines.ts';
import { bundledFont, invoicePdf } from './invoice-pdf.ts';
import type { WholeInvoice } from './invoices.service.ts';
import { unpackWoff } from './woff.ts';

const tokens = { cached_read: 0, cache_write_5m: 0, cache_write_1h: 0, reasoning: 0, image: 0, audio: 0 };
const item = (given: Partial<InvoiceItem> = {}): InvoiceItem => ({
  kind: 'usage',
  month: '2026-10',
  provider: 'openai',
  model: 'gpt-4o-mini',
  description: null,
  count: 1_234,
  rows: 1_240,
  tokens: { ...tokens, input: 98_765_432, output: 1_000, cached_read: 55_555 },
  nanoUsd: 1_234_567_890_123n,
  ...given,
});

function invoice(items: readonly InvoiceItem[], name = 'Acme'): WholeInvoice {
  return {
    id: 'an-id',
    status: 'issued',
    number: 'acme-2026-10',
    month: '2026-10',
    timeZone: 'Europe/Berlin',
    start: new Date('2026-09-30T22:00:00Z'),
    end: new Date('2026-10-31T23:00:00Z'),
    tenant: { name, slug: 'acme' },
    issuedAt: new Date('2026-11-01T01:00:00Z'),
    ...sumsOf(items),
  };
}

const font = bundledFont();
const now = new Date('2026-11-02T00:00:00Z');

async function textOf(pdf: Buffer): Promise<{ pages: number; text: string }> {
  const { totalPages, text } = await extractText(await getDocumentProxy(new Uint8Array(pdf)), {
    mergePages: true,
  });
  return { pages: totalPages, text };
}

describe('an invoice as PDF', () => {
  it('says whom it is for, what for, and how much', async () => {
    const { pages, text } = await textOf(
      await invoicePdf(
        invoice([
          item(),
          item({ kind: 'unpriced', provider: 'ours', model: 'llama', count: 7, nanoUsd: 0n }),
          item({
            kind: 'adjustment',
            month: '2026-09',
            provider: null,
            model: null,
            description: 'credit: Störung',
            nanoUsd: -20_000_000_000n,
          }),
        ]),
        font,
        now,
      ),
    );
    expect(pages).toBe(1);
    for (const said of [
      'acme-2026-10',
      '1 October 2026 to 31 October 2026 (Europe/Berlin)',
      'openai / gpt-4o-mini',
      '98,765,432',
      'cached read 55,555',
      '1,234.57',
      'credit: Störung',
      'of 2026-09',
      '-20.00',
      'USD 1,214.57',
      '7 calls have no known price',
    ]) {
      expect(text).toContain(said);
    }
  });

  it('has the letters of most of Europe, and says so where it lacks some', async () => {
    const names = 'Müller & Søn Łódź Ελλάδα Жуков Nguyễn € ₹';
    const { text } = await textOf(await invoicePdf(invoice([item()], names), font, now));
    expect(text).toContain(names);
    expect(text).not.toContain('lacks');
    const asian = await textOf(await invoicePdf(invoice([item()], '山田 GmbH'), font, now));
    expect(asian.text).toContain('?? GmbH');
    expect(asian.text).toContain('lacks');
    expect(asian.text).toContain('acme');
  });

  it('goes over pages, and says where the rest is when there is very much', async () => {
    const items = Array.from({ length: 400 }, (_, n) => item({ model: `model-${n}`, nanoUsd: 10_000_000n }));
    const { pages, text } = await textOf(await invoicePdf(invoice(items), font, now));
    expect(pages).toBeGreaterThan(5);
    expect(text).toContain(`page ${pages} of ${pages}`);
    expect(text).toContain('101 further lines');
    expect(text).toContain('USD 4.00');
  });

  it('is the same each time', async () => {
    const once = await invoicePdf(invoice([item()]), font, now);
    expect(await invoicePdf(invoice([item()]), font, new Date('2027-01-01T00:00:00Z'))).toEqual(once);
  });
});

describe('an invoice as CSV', () => {
  it('has a row for each line and the total, and no formulas', () => {
    const csv = invoiceCsv(
      invoice([
        item({ nanoUsd: 5_000_000n }),
        item({ model: 'a "b", c', nanoUsd: 5_000_000n }),
        item({ kind: 'adjustment', description: '=HYPERLINK("x")', nanoUsd: -1n }),
      ]),
    );
    const [head, ...rows] = csv.trimEnd().split('\r\n');
    expect(head?.split(',').slice(-2)).toEqual(['exact_usd', 'amount_usd']);
    expect(rows.map((row) => row.slice(-17))).toEqual(
      [',0.005000000,0.01', ',0.005000000,0.00', '-0.000000001,0.00', ',0.009999999,0.01'].map((end) =>
        expect.stringContaining(end),
      ),
    );
    expect(rows[1]).toContain('"a ""b"", c"');
    expect(rows[2]).toContain(`"'=HYPERLINK(""x"")"`);
  });
});

describe('the font', () => {
  it('is no other than a WOFF', () => {
    expect(font.regular.readUInt32BE(0)).toBe(0x00010000);
    expect(() => unpackWoff(Buffer.from('OTTO'))).toThrow(RangeError);
  });
});
