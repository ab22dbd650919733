import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPriceCatalogue } from '../price-catalogue.ts';
import { noUsage } from '../usage.ts';
import { createPriceRules, type PriceDiscount, type PriceOverride } from './price-rules.ts';

const catalogue = createPriceCatalogue();
const target = { provider: { name: 'sim', baseUrl: 'http://127.0.0.1:1/v1' }, model: 'gpt-4o-mini' };
const day = (n: number) => new Date(Date.UTC(2026, 9, n));
const million = { ...noUsage, inputTokens: 1_000_000 };

let made = 0;
const nextId = () => `00000000-0000-7000-8000-${String(++made).padStart(12, '0')}`;

function override(given: Partial<PriceOverride> = {}): PriceOverride {
  return {
    id: nextId(),
    tenantId: null,
    provider: 'sim',
    model: 'gpt-4o-mini',
    effectiveFrom: day(1),
    createdAt: day(1),
    components: { input_mtok: '1' },
    ...given,
  };
}

function discount(given: Partial<PriceDiscount> = {}): PriceDiscount {
  return {
    id: nextId(),
    tenantId: null,
    provider: null,
    model: null,
    percent: '10',
    effectiveFrom: day(1),
    effectiveTo: null,
    createdAt: day(1),
    ...given,
  };
}

const costOf = (rules: ReturnType<typeof createPriceRules>, at: Date) =>
  rules.inForce(target, at)?.price.costOf(million);

describe('the price that holds', () => {
  it('is the catalogue’s before an override takes effect, then the latest override’s', () => {
    const first = override({ effectiveFrom: day(10), components: { input_mtok: '0.2' } });
    const second = override({ effectiveFrom: day(20), components: { input_mtok: '0.3' } });
    const rules = createPriceRules({ overrides: [second, first], discounts: [] }, catalogue);
    const times = [day(9), new Date(day(10).getTime() - 1), day(10), day(19), day(20), day(30)];
    expect(times.map((at) => costOf(rules, at))).toEqual(
      [150, 150, 200, 200, 300, 300].map((thousandths) => BigInt(thousandths) * 1_000_000n),
    );
    expect(rules.inForce(target, day(9))?.override).toBeNull();
    expect(rules.inForce(target, day(25))?.price.id).toBe(`override-${second.id}:sim:gpt-4o-mini:0`);
  });

  it('is the tenant’s before the platform’s, and the model’s before its family’s', () => {
    const platform = override({ effectiveFrom: day(20), components: { input_mtok: '5' } });
    const family = override({ tenantId: 't', model: 'gpt-4o*', components: { input_mtok: '2' } });
    const rules = (overrides: PriceOverride[]) => createPriceRules({ overrides, discounts: [] }, catalogue);
    expect(costOf(rules([platform, family]), day(25))).toBe(2_000_000_000n);
    const model = override({ tenantId: 't', components: { input_mtok: '3' } });
    expect(costOf(rules([platform, family, model]), day(25))).toBe(3_000_000_000n);
    const longer = override({ tenantId: 't', model: 'gpt-4o-m*', components: { input_mtok: '4' } });
    expect(costOf(rules([family, longer]), day(25))).toBe(4_000_000_000n);
    const others = override({ tenantId: 't', model: 'gpt-4o', components: { input_mtok: '9' } });
    expect(costOf(rules([others, override({ provider: 'other' })]), day(25))).toBe(150_000_000n);
  });

  it('that was written last wins among those of the same time', () => {
    const mistake = override({ createdAt: day(2), components: { input_mtok: '7' } });
    const corrected = override({ createdAt: day(3), components: { input_mtok: '8' } });
    const rules = createPriceRules({ overrides: [mistake, corrected], discounts: [] }, catalogue);
    expect(costOf(rules, day(4))).toBe(8_000_000_000n);
  });

  it('gives a model a price that the catalogue does not know, and to none where it says nothing of a class', () => {
    const home = { ...target, model: 'our-own' };
    const rules = createPriceRules({ overrides: [override({ model: 'our-own' })], discounts: [] }, catalogue);
    const price = rules.inForce(home, day(5))?.price;
    expect(price?.costOf(million)).toBe(1_000_000_000n);
    expect(price?.costOf({ ...million, outputTokens: 1 })).toBeNull();
    expect(rules.inForce({ ...target, model: 'nobody’s' }, day(5))).toBeNull();
  });

  it('takes one discount off whichever price holds, while it is on', () => {
    const all = discount({ percent: '10', effectiveFrom: day(5), effectiveTo: day(10) });
    const own = discount({
      tenantId: 't',
      provider: 'sim',
      model: 'gpt-4o*',
      percent: '33.3333',
      effectiveFrom: day(8),
    });
    const rules = createPriceRules(
      {
        overrides: [override({ effectiveFrom: day(9), components: { input_mtok: '0.3' } })],
        discounts: [all, own],
      },
      catalogue,
    );
    expect([4, 5, 7, 8, 9, 10].map((n) => costOf(rules, day(n)))).toEqual([
      150_000_000n,
      135_000_000n,
      135_000_000n,
      100_000_050n,
      200_000_100n,
      200_000_100n,
    ]);
    const { price } = rules.inForce(target, day(9)) ?? {};
    expect(JSON.parse(price?.json ?? '')).toMatchObject({
      components: { input_mtok: '0.3' },
      discount: { id: own.id, percent: '33.3333' },
    });
    expect(rules.inForce(target, day(9))?.price).toBe(price);
  });

  it('with a discount is the exact sum less the percentage, rounded half up once', () => {
    const price = fc.integer({ min: 0, max: 10_000_000 });
    const count = fc.nat({ max: 5_000_000 });
    const percent = fc.integer({ min: 1, max: 1_000_000 });
    fc.assert(
      fc.property(price, price, count, count, percent, (input, output, inputTokens, outputTokens, off) => {
        const dollars = (millionths: number) => (millionths / 1e6).toFixed(6);
        const rules = createPriceRules(
          {
            overrides: [
              override({ components: { input_mtok: dollars(input), output_mtok: dollars(output) } }),
            ],
            discounts: [discount({ percent: (off / 1e4).toFixed(4) })],
          },
          catalogue,
        );
        // Millionths of a dollar for a million tokens are 10^-12 dollars each: a thousandth of a nano-dollar.
        const exact =
          (BigInt(input) * BigInt(inputTokens) + BigInt(output) * BigInt(outputTokens)) *
          BigInt(1_000_000 - off);
        const unit = 1_000n * 1_000_000n;
        const whole = exact / unit;
        const expected = (exact % unit) * 2n >= unit ? whole + 1n : whole;
        const usage = { ...noUsage, inputTokens, outputTokens };
        expect(rules.inForce(target, day(2))?.price.costOf(usage)).toBe(expected);
      }),
    );
  });
});
