import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decimalOf, scaled, usdFromNano } from './money.ts';

describe('money', () => {
  it('shows nano-dollars as an exact decimal', () => {
    expect(usdFromNano(0n)).toBe('0.000000000');
    expect(usdFromNano(1_234_567n)).toBe('0.001234567');
    expect(usdFromNano(-5n)).toBe('-0.000000005');
    expect(usdFromNano(123_456_789_012_345_678_901n)).toBe('123456789012.345678901');
  });

  it('reads back what it showed', () => {
    fc.assert(
      fc.property(fc.bigInt(), (nano) => {
        const shown = usdFromNano(nano);
        expect(BigInt(shown.replace('.', ''))).toBe(nano);
      }),
    );
  });

  it('takes a price as the digits it is written with', () => {
    expect(decimalOf(0.15)).toBe('0.15');
    expect(decimalOf(1.5e-7)).toBe('0.00000015');
    expect(decimalOf(600)).toBe('600');
    expect(decimalOf(1e21)).toBe(`1${'0'.repeat(21)}`);
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, -0.1]) {
      expect(() => decimalOf(wrong)).toThrow(RangeError);
    }
  });

  it('scales decimals without loss, and rounds half up beyond the places kept', () => {
    expect(scaled('0.075', 6)).toBe(75_000n);
    expect(scaled('2', 3)).toBe(2_000n);
    expect(scaled('0.18000000000000002', 12)).toBe(180_000_000_000n);
    expect(scaled('0.5', 0)).toBe(1n);
    expect(scaled('0.49', 0)).toBe(0n);
    fc.assert(
      fc.property(fc.double({ min: 1e-9, max: 1e6, noNaN: true }), (value) => {
        expect(Number(decimalOf(value))).toBe(value);
      }),
    );
  });
});
