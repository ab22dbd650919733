import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COVERED_FROM, coverage } from './coverage.ts';

const PASSAGES = [
  'Backups run every six hours and are kept for thirty days.',
  'A budget with a hard limit reserves the estimated cost of a call.',
  'Tenants are isolated in the database by row-level security.',
  'The console is served by the same process.',
];

describe('coverage', () => {
  it('is high for what the passages say and low for what they do not', () => {
    expect(coverage('How long are backups kept?', PASSAGES)).toBeGreaterThan(COVERED_FROM);
    expect(coverage('What does a hard limit of a budget reserve?', PASSAGES)).toBeGreaterThan(COVERED_FROM);
    expect(coverage('Which opera did Verdi write in Cairo?', PASSAGES)).toBe(0);
    expect(coverage('How long do penguins keep their eggs warm?', PASSAGES)).toBeLessThan(COVERED_FROM);
  });

  it('does not mind how the question is put', () => {
    const plain = coverage('How long are backups kept?', PASSAGES);
    const asked = coverage('According to the given text, how long are backups kept?', PASSAGES);
    expect(asked).toBeGreaterThan(COVERED_FROM);
    expect(asked).toBeLessThan(plain);
  });

  it('is 0 without passages or without a question', () => {
    expect(coverage('How long are backups kept?', [])).toBe(0);
    expect(coverage('', PASSAGES)).toBe(0);
    expect(coverage('What is it?', PASSAGES)).toBe(0);
  });

  it('is never less after more of the question was answered by the best passage', () => {
    const words = ['budget', 'tenant', 'limit', 'backup', 'console'];
    fc.assert(
      fc.property(fc.subarray(words, { minLength: 1 }), fc.nat(4), (asked, extra) => {
        const question = asked.join(' ');
        const had = asked.slice(0, extra).join(' ');
        const all = asked.join(' ');
        expect(coverage(question, [all])).toBeGreaterThanOrEqual(coverage(question, [had]) - 1e-9);
        expect(coverage(question, [all])).toBeCloseTo(1);
      }),
    );
  });
});
