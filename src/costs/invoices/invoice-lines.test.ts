import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { monthAfter, monthAround } from './billing-month.ts';
import { type InvoiceItem, sumsOf, usdFromCents } from './invoice-lines.ts';

const item = (nanoUsd: bigint) => ({ nanoUsd }) as InvoiceItem;

describe('the sums of an invoice', () => {
  it('round half up once, for credits too', () => {
    const total = (...amounts: bigint[]) => sumsOf(amounts.map(item)).totalCents;
    expect(total(4_999_999n)).toBe(0n);
    expect(total(5_000_000n)).toBe(1n);
    expect(total(4_999_999n, 1n)).toBe(1n);
    expect(total(-5_000_000n)).toBe(0n);
    expect(total(-5_000_001n)).toBe(-1n);
    expect(total()).toBe(0n);
  });

  it('are what is shown, no line being off by a cent or more', () => {
    const amount = fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n });
    fc.assert(
      fc.property(fc.array(amount, { maxLength: 60 }), (amounts) => {
        const { lines, totalCents, exactNanoUsd } = sumsOf(amounts.map(item));
        expect(exactNanoUsd).toBe(amounts.reduce((sum, n) => sum + n, 0n));
        expect(lines.reduce((sum, { cents }) => sum + cents, 0n)).toBe(totalCents);
        for (const { cents, nanoUsd } of lines) {
          const off = cents * 10_000_000n - nanoUsd;
          expect(off > -10_000_000n && off < 10_000_000n).toBe(true);
        }
      }),
    );
  });

  it('are written with two places', () => {
    expect([0n, 5n, -5n, 123n, -12_345n].map(usdFromCents)).toEqual([
      '0.00',
      '0.05',
      '-0.05',
      '1.23',
      '-123.45',
    ]);
  });
});

describe('a billing month', () => {
  it('begins at the first instant there is, and follows the last one without a gap', () => {
    const santiago = monthAround('America/Santiago', new Date('2026-09-10T00:00:00Z'));
    expect(santiago).toMatchObject({ label: '2026-09', start: new Date('2026-09-01T04:00:00Z') });
    // Clocks there go forward in September: the month is an hour short.
    expect(santiago.end).toEqual(new Date('2026-10-01T03:00:00Z'));
    const next = monthAfter('Asia/Tokyo', santiago);
    expect(next).toEqual({ label: '2026-10', start: santiago.end, end: new Date('2026-10-31T15:00:00Z') });
    expect(monthAfter('UTC', { label: '2026-12', end: new Date('2027-01-01T00:00:00Z') }).label).toBe(
      '2027-01',
    );
    expect(() => monthAround('Nowhere/Else', new Date())).toThrow(RangeError);
  });
});
