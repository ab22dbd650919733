import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/harness/child.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { addLedgerRows, type LedgerRowGiven } from '../../../test/harness/ledger-rows.ts';
import { addTenant } from '../../../test/harness/tenants.ts';
import type { Principal } from '../../access/index.ts';
import { systemClock } from '../../platform/clock.ts';
import { createNotifications } from '../../platform/database/notifications.ts';
import { createIds } from '../../platform/ids.ts';
import { createJobs, type Jobs } from '../../platform/jobs/index.ts';
import { createLog } from '../../platform/log.ts';
import { systemRandom } from '../../platform/random.ts';
import { type CataloguePrices, createPrice } from '../price.ts';
import { createPriceCatalogue } from '../price-catalogue.ts';
import { createPrices, type Prices } from '../prices/prices.service.ts';
import { createPricesStore } from '../prices/prices.store.ts';
import { noUsage } from '../usage.ts';
import { type Adjustments, createAdjustments } from './adjustments.service.ts';
import { createAdjustmentsStore } from './adjustments.store.ts';

const newId = createIds(systemClock, systemRandom);
const log = createLog('silent');
const tenantId = newId();
const principal = { tenantId, readerTokens: [], keyId: 'key-1', role: 'admin' } as unknown as Principal;
const stranger = { ...principal, tenantId: newId() } as Principal;
const noon = new Date(Date.now() - 86_400_000);
const range = {
  from: new Date(noon.getTime() - 3_600_000),
  to: new Date(noon.getTime() + 3_600_000),
  provider: null,
  model: null,
  reason: null,
  dryRun: false,
};

let test: TestDatabase;
let jobs: Jobs;
let prices: Prices;
let adjustments: Adjustments;

beforeAll(async () => {
  test = await createTestDatabase();
  await addTenant(test.database, tenantId, 'acme');
  await addTenant(test.database, stranger.tenantId, 'other');
  jobs = createJobs({ url: test.url, executorId: 'test', clock: systemClock, log });
  prices = createPrices({
    store: createPricesStore(test.database),
    catalogue: createPriceCatalogue(),
    clock: systemClock,
    newId,
    log,
    subscribe: () => {},
  });
  adjustments = createAdjustments({
    store: createAdjustmentsStore(test.database),
    prices,
    addressOf: () => 'http://127.0.0.1:1/v1',
    jobs,
    clock: systemClock,
    newId,
    flush: async () => {},
    batchRows: 7,
    rowsAtOnce: 50,
  });
  await jobs.start();
});
afterAll(async () => {
  await jobs.stop(5_000);
  await test.drop();
});
beforeEach(async () => {
  for (const table of ['ledger_adjustments', 'ledger', 'price_overrides', 'discounts']) {
    await sql`delete from ${sql.table(table)}`.execute(test.database.platform);
  }
  await prices.start();
});

const row = (given: Partial<LedgerRowGiven> = {}): LedgerRowGiven => ({
  id: newId(),
  tenantId,
  at: noon,
  costNanoUsd: 150_000n,
  inputTokens: 1_000,
  ...given,
});

const override = (inputPerMillion: string, model = 'gpt-4o-mini') =>
  prices.addOverride(principal, {
    provider: 'sim',
    model,
    effectiveFrom: new Date(noon.getTime() - 1_000),
    components: { input_mtok: inputPerMillion },
    reason: null,
  });

/** What the tenant is charged, by independent addition. */
async function charged(): Promise<bigint> {
  const { rows } = await sql<{ n: string | null }>`select (select coalesce(sum(cost_nano_usd), 0) from ledger
      where tenant_id = ${tenantId})
    + (select coalesce(sum(delta_nano_usd), 0) from ledger_adjustments where tenant_id = ${tenantId}) as n`.execute(
    test.database.platform,
  );
  return BigInt(rows[0]?.n ?? 0);
}

describe('repricing', () => {
  it('adjusts each call to the price that holds now, and adds nothing when it is run again', async () => {
    const rows = Array.from({ length: 20 }, (_, n) => row({ at: new Date(noon.getTime() + n * 1_000) }));
    await addLedgerRows(test.database, [
      ...rows,
      row({ tenantId: stranger.tenantId }),
      row({ model: 'other' }),
    ]);
    await override('0.2');
    const dry = await adjustments.reprice(principal, { ...range, model: 'gpt-4o-mini', dryRun: true });
    expect(dry).toMatchObject({
      batchId: null,
      counts: { rows: 20, adjusted: 20, deltaNanoUsd: 1_000_000n },
    });
    expect(await charged()).toBe(21n * 150_000n);

    const done = await adjustments.reprice(principal, { ...range, model: 'gpt-4o-mini' });
    expect(done).toMatchObject({ state: 'done', counts: { adjusted: 20, newlyPriced: 0 } });
    expect(await charged()).toBe(20n * 200_000n + 150_000n);
    const again = await adjustments.reprice(principal, { ...range, model: 'gpt-4o-mini' });
    expect(again.counts).toMatchObject({ rows: 20, adjusted: 0, deltaNanoUsd: 0n });

    await override('0.1');
    await adjustments.reprice(principal, { ...range, model: 'gpt-4o-mini' });
    expect(await charged()).toBe(20n * 100_000n + 150_000n);
    const page = await adjustments.page(principal, {
      limit: 100,
      after: null,
      kind: 'reprice',
      batchId: null,
    });
    expect(page).toHaveLength(40);
    expect(page[0]).toMatchObject({
      delta_nano_usd: -100_000n,
      provider: 'sim',
      key_id: 'key-1',
      route: 'fast',
    });
    expect(await adjustments.page(stranger, { limit: 1, after: null, kind: null, batchId: null })).toEqual(
      [],
    );
  });

  it('gives an unpriced call its price, even one of nothing, once', async () => {
    await addLedgerRows(test.database, [
      row({ model: 'ours', costNanoUsd: null }),
      row({ model: 'gift', costNanoUsd: null }),
      row({ model: 'unknown', costNanoUsd: null }),
    ]);
    await override('3', 'ours');
    await override('0', 'gift');
    const first = await adjustments.reprice(principal, range);
    expect(first.counts).toMatchObject({
      adjusted: 2,
      newlyPriced: 2,
      stillUnpriced: 1,
      deltaNanoUsd: 3_000_000n,
    });
    expect((await adjustments.reprice(principal, range)).counts).toMatchObject({
      adjusted: 0,
      newlyPriced: 0,
    });
    await override('4', 'gift');
    expect((await adjustments.reprice(principal, range)).counts).toMatchObject({
      adjusted: 1,
      newlyPriced: 0,
      deltaNanoUsd: 4_000_000n,
    });
  });

  it('leaves credits alone, and copies the price that it charged by', async () => {
    const call = row();
    await addLedgerRows(test.database, [call]);
    const credit = { at: null, provider: null, model: null, reason: 'A slow day' };
    await adjustments.add(principal, { ...credit, kind: 'credit', nanoUsd: -50_000n, ledgerId: call.id });
    const made = await override('0.2');
    await adjustments.reprice(principal, range);
    expect(await charged()).toBe(150_000n);
    const { rows } = await sql<{ version: string; components: unknown }>`select version, components
      from model_prices where id like ${`override-${made.id}%`}`.execute(test.database.platform);
    expect(rows).toEqual([{ version: `override-${made.id}`, components: { input_mtok: '0.2' } }]);
  });

  it('leaves calls alone whose audio may have been either way', async () => {
    await addLedgerRows(test.database, [
      row({ audioTokens: 10, outputTokens: 20 }),
      row({
        audioTokens: 10,
        outputTokens: 20,
        rawUsage: { completion_tokens_details: { audio_tokens: 10 } },
      }),
    ]);
    await prices.addOverride(principal, {
      provider: 'sim',
      model: 'gpt-4o-mini',
      effectiveFrom: noon,
      components: { input_mtok: '0', output_mtok: '0', output_audio_mtok: '20' },
      reason: null,
    });
    const { counts } = await adjustments.reprice(principal, range);
    expect(counts).toMatchObject({ notTold: 1, adjusted: 1, deltaNanoUsd: 10n * 20_000n - 150_000n });
  });

  it('is done by a job where there are many calls, and two at once adjust each call once', async () => {
    const rows = Array.from({ length: 120 }, (_, n) => row({ at: new Date(noon.getTime() + (n % 40)) }));
    await addLedgerRows(test.database, rows);
    await override('0.2');
    const reports = await Promise.all([
      adjustments.reprice(principal, range),
      adjustments.reprice(principal, range),
      adjustments.reprice(principal, { ...range, to: new Date(noon.getTime() + 10) }),
    ]);
    expect(reports.map(({ state }) => state)).toEqual(['running', 'running', 'done']);
    await until(async () => (await charged()) === 120n * 200_000n);
    const { batchId } = reports[0] ?? {};
    await until(
      async () =>
        (await adjustments.repriced(principal, batchId ?? '').catch(() => null))?.state !== 'running',
    );
    const { rows: made } = await sql<{ n: bigint; calls: bigint }>`select count(*) as n,
      count(distinct ledger_id) as calls from ledger_adjustments`.execute(test.database.platform);
    expect(made[0]).toEqual({ n: 120n, calls: 120n });
  });

  it('by a job is told of until it is done, also where there is nothing to adjust, and to its tenant only', async () => {
    await override('0.15');
    await addLedgerRows(
      test.database,
      Array.from({ length: 60 }, () => row()),
    );
    const { state, batchId } = await adjustments.reprice(principal, range);
    expect(state).toBe('running');
    const told = () => adjustments.repriced(principal, batchId ?? '');
    await told();
    await until(async () => (await told()).state === 'done');
    expect((await told()).sums).toEqual({ adjusted: 0, newlyPriced: 0, deltaNanoUsd: 0n });
    for (const [scope, id] of [
      [{ tenantId: newId(), readerTokens: [] }, batchId ?? ''],
      [principal, newId()],
    ] as const) {
      await expect(adjustments.repriced(scope, id)).rejects.toMatchObject({ code: 'not_found' });
    }
  });

  it('is never changed afterwards', async () => {
    await addLedgerRows(test.database, [row()]);
    await override('1');
    await adjustments.reprice(principal, range);
    const change = sql`update ledger_adjustments set delta_nano_usd = 1`.execute(test.database.platform);
    await expect(change).rejects.toThrow(/never changed/);
  });
});

describe('prices that were set', () => {
  it('hold at once, are withdrawn but not changed, and are nobody else’s', async () => {
    const made = await override('9');
    const target = { provider: { name: 'sim', baseUrl: '' }, model: 'gpt-4o-mini' };
    expect(prices.priceOf(target, noon, tenantId)?.version).toBe(`override-${made.id}`);
    expect(prices.priceOf(target, noon, stranger.tenantId)?.version).toMatch(/^genai-prices/);
    await expect(prices.withdrawOverride(stranger, made.id)).rejects.toThrow(/no such price/);
    const change = sql`update price_overrides set model = 'x'`.execute(test.database.platform);
    await expect(change).rejects.toThrow(/never changed/);
    await prices.withdrawOverride(principal, made.id);
    expect(prices.priceOf(target, noon, tenantId)?.version).toMatch(/^genai-prices/);
    const filter = { provider: null, model: null, withdrawn: true };
    const [row] = await prices.overrides(principal, filter, { limit: 1, after: null });
    expect(row).toMatchObject({ id: made.id, withdrawn_by: 'key-1' });
  });
});

describe('prices on several instances', () => {
  it('are those of the one that changed them, on all', async () => {
    const notifications = createNotifications(test.url, systemClock, log);
    const elsewhere = createPrices({
      store: createPricesStore(test.database),
      catalogue: createPriceCatalogue(),
      clock: systemClock,
      newId,
      log,
      subscribe: (onChange, onGap) => notifications.subscribe('prices_changed', onChange, onGap),
    });
    await elsewhere.start();
    await notifications.start();
    try {
      const target = { provider: { name: 'sim', baseUrl: '' }, model: 'gpt-4o-mini' };
      const made = await override('8');
      await until(async () => elsewhere.priceOf(target, noon, tenantId)?.version === `override-${made.id}`);
      await prices.withdrawOverride(principal, made.id);
      await until(async () => elsewhere.priceOf(target, noon, tenantId)?.version !== `override-${made.id}`);
    } finally {
      await notifications.stop();
    }
  });
});

describe('the copy of a price', () => {
  it('is enough to compute what was charged, discount and steps included, when nothing else is left', async () => {
    const call = row({ costNanoUsd: null, inputTokens: 1_001, outputTokens: 7, cachedReadTokens: 3 });
    await addLedgerRows(test.database, [call]);
    await prices.addOverride(principal, {
      provider: 'sim',
      model: 'gpt-4o-mini',
      effectiveFrom: noon,
      components: {
        input_mtok: { base: '0.123456789', tiers: [{ start: 1_000, price: '7.7' }] },
        cache_read_mtok: '0.000001',
        output_mtok: '3.3',
      },
      reason: null,
    });
    const off = { provider: null, model: null, effectiveFrom: noon, effectiveTo: null, reason: null };
    await prices.addDiscount(principal, { ...off, percent: '33.3333' });
    await adjustments.reprice(principal, range);
    const { rows } = await sql<{
      delta: bigint;
      components: CataloguePrices;
      discount_id: string;
      discount_percent: string;
    }>`select a.delta_nano_usd as delta, p.components, p.discount_id, p.discount_percent
      from ledger_adjustments a join model_prices p on p.id = a.price_id`.execute(test.database.platform);
    const [kept] = rows;
    const identity = { version: 'v', provider: 'p', model: 'm', index: 0, applies: null };
    const again = createPrice(identity, kept?.components ?? {}, {
      id: kept?.discount_id ?? '',
      percent: kept?.discount_percent ?? '',
    });
    const usage = { ...noUsage, inputTokens: 1_001, cachedReadTokens: 3, outputTokens: 7 };
    expect(again.costOf(usage)).toBe(kept?.delta);
    // (998 × 7700 + 3 × 0.001 + 7 × 3300) nano-dollars, less 33.3333 %.
    expect(kept?.delta).toBe(5_138_469n);
  });
});
