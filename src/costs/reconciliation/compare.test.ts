import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPriceCatalogue } from '../price-catalogue.ts';
import { compare, type LedgerUsage } from './compare.ts';
import type { ExportedRow, ExportedUsage } from './exported-usage.ts';
import { createModelNames } from './model-names.ts';

const names = createModelNames(createPriceCatalogue(), 'openai');

function exported(rows: readonly ExportedRow[], given: Partial<ExportedUsage> = {}): ExportedUsage {
  return {
    format: 'openai-usage-json',
    classes: ['input', 'cached_read', 'output'],
    tellsMoney: false,
    tellsCalls: true,
    firstDay: '2026-10-05',
    lastDay: '2026-10-06',
    rows,
    ...given,
  };
}
const row = (model: string | null, input: number, given: Partial<ExportedRow> = {}): ExportedRow => ({
  day: '2026-10-05',
  model,
  requests: 1,
  tokens: { input, cached_read: 0, output: 0 },
  nanoUsd: null,
  ...given,
});
const inLedger = (model: string, input: number, given: Partial<LedgerUsage> = {}): LedgerUsage => ({
  day: '2026-10-05',
  model,
  calls: 1,
  unpriced: 0,
  tokens: { input, cached_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 0 },
  nanoUsd: 0n,
  ...given,
});

describe('a comparison', () => {
  it('takes a dated snapshot and what it is short for as one model', () => {
    const { lines, total } = compare(
      exported([row('gpt-4o-2024-08-06', 70), row('gpt-4o', 30)]),
      [inLedger('gpt-4o-2024-08-06', 60), inLedger('gpt-4o', 40)],
      names,
      '0',
    );
    expect(lines).toMatchObject([
      { model: 'gpt-4o', names: ['gpt-4o', 'gpt-4o-2024-08-06'], withinTolerance: true, drift: { calls: 0 } },
    ]);
    expect(total.withinTolerance).toBe(true);
  });

  it('shows what is on one side only, and how far apart both are', () => {
    const { lines, total } = compare(
      exported([row('gpt-4o', 100), row('gpt-4o-mini', 5)]),
      [inLedger('gpt-4o', 98), inLedger('o3', 7, { day: '2026-10-06' })],
      names,
      '1.9',
    );
    expect(lines.map((line) => [line.day, line.model, line.exported !== null, line.ledger !== null])).toEqual(
      [
        ['2026-10-05', 'gpt-4o', true, true],
        ['2026-10-05', 'gpt-4o-mini', true, false],
        ['2026-10-06', 'o3', false, true],
      ],
    );
    expect(lines.map(({ drift }) => drift.tokens.input)).toEqual([2, 5, -7]);
    expect(lines.map(({ withinTolerance }) => withinTolerance)).toEqual([false, false, false]);
    expect(total).toMatchObject({
      exported: { tokens: { input: 105 } },
      ledger: { tokens: { input: 105 } },
      withinTolerance: true,
    });
    const wider = compare(exported([row('gpt-4o', 100)]), [inLedger('gpt-4o', 98)], names, '2');
    expect(wider.lines[0]?.withinTolerance).toBe(true);
  });

  it('is by day alone where the export does not tell models', () => {
    const money = { classes: [], tellsMoney: true, tellsCalls: false, format: 'openai-costs-csv' } as const;
    const { lines } = compare(
      exported([row(null, 0, { requests: null, tokens: null, nanoUsd: 300n })], money),
      [inLedger('gpt-4o', 1, { nanoUsd: 100n }), inLedger('o3', 1, { nanoUsd: 199n, unpriced: 2 })],
      names,
      '0',
    );
    expect(lines).toMatchObject([
      {
        model: null,
        ledger: { nanoUsd: 299n, unpriced: 2, tokens: {} },
        drift: { nanoUsd: 1n, calls: null, tokens: {} },
      },
    ]);
  });

  it('has a total that is the sum of its lines', () => {
    const model = fc.constantFrom('gpt-4o', 'gpt-4o-2024-08-06', 'gpt-4o-mini', 'ours');
    const day = fc.constantFrom('2026-10-05', '2026-10-06');
    const one = fc.tuple(day, model, fc.nat(1_000), fc.bigInt({ min: 0n, max: 10n ** 12n }));
    fc.assert(
      fc.property(fc.array(one), fc.array(one), (theirs, ours) => {
        const { lines, total } = compare(
          exported(
            theirs.map(([day, name, input, nanoUsd]) => row(name, input, { day, nanoUsd })),
            { tellsMoney: true },
          ),
          ours.map(([day, name, input, nanoUsd]) => inLedger(name, input, { day, nanoUsd })),
          names,
          '1',
        );
        const tokens = (all: typeof theirs) => all.reduce((sum, [, , input]) => sum + input, 0);
        const money = (all: typeof theirs) => all.reduce((sum, [, , , nano]) => sum + nano, 0n);
        expect(total.drift.tokens.input).toBe(tokens(theirs) - tokens(ours));
        expect(total.drift.nanoUsd).toBe(money(theirs) - money(ours));
        expect(lines.reduce((sum, { drift }) => sum + (drift.tokens.input ?? 0), 0)).toBe(
          tokens(theirs) - tokens(ours),
        );
        expect(lines.reduce((sum, { drift }) => sum + (drift.nanoUsd ?? 0n), 0n)).toBe(
          money(theirs) - money(ours),
        );
      }),
    );
  });
});

describe('the name of a model', () => {
  it('is the catalogue’s, else without its date; consoles show others', () => {
    const anthropic = createModelNames(createPriceCatalogue(), 'anthropic');
    expect(anthropic('Claude Haiku 4.5')).toBe(anthropic('claude-haiku-4-5-20251001'));
    expect(anthropic('Claude 3.5 Sonnet 2024-10-22')).toBe(anthropic('claude-3-5-sonnet-20241022'));
    expect(anthropic('claude-haiku-4-5')).not.toBe(anthropic('claude-sonnet-4-5'));
    expect(names('our-model-2026-01-02')).toBe('our-model');
    expect(names('gpt-4o-mini-2024-07-18')).toBe(names('gpt-4o-mini'));
    expect(names('gpt-4o-mini')).not.toBe(names('gpt-4o'));
  });
});
