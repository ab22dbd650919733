import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { endedCall } from '../../test/harness/ended-call.ts';
import { addTenant } from '../../test/harness/tenants.ts';
import { systemClock } from '../platform/clock.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { createMetrics } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';
import { type Costs, createCosts, type EndedCall } from './costs.service.ts';
import { createLedgerStore, type LedgerStore } from './ledger.store.ts';
import { createPriceCatalogue } from './price-catalogue.ts';
import { noUsage } from './usage.ts';

const newId = createIds(systemClock, systemRandom);
const log = createLog('silent');
const acme = { tenantId: newId(), readerTokens: [] };
const other = { tenantId: newId(), readerTokens: [] };
const miniAtHome = { provider: { name: 'sim', baseUrl: 'http://127.0.0.1:1/v1' }, model: 'gpt-4o-mini' };

let test: TestDatabase;
let store: LedgerStore;
let dataDir: string;
const running: Costs[] = [];

beforeAll(async () => {
  test = await createTestDatabase();
  store = createLedgerStore(test.database);
  await addTenant(test.database, acme.tenantId, 'acme');
  await addTenant(test.database, other.tenantId, 'other');
});
afterAll(() => test.drop());
beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-ledger-'));
  await sql`delete from ledger`.execute(test.database.platform);
});
afterEach(async () => {
  for (const costs of running.splice(0)) await costs.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

function start(overrides: Partial<LedgerStore> = {}): Costs {
  const costs = createCosts({
    store: { ...store, ...overrides },
    catalogue: createPriceCatalogue(),
    clock: systemClock,
    newId,
    metrics: createMetrics(),
    log,
    dataDir,
  });
  costs.start();
  running.push(costs);
  return costs;
}

const call = (overrides: Partial<EndedCall> = {}) =>
  endedCall({ id: newId(), tenantId: acme.tenantId }, overrides);

const countRows = async () => {
  const { rows } = await sql<{ n: bigint }>`select count(*) as n from ledger`.execute(test.database.platform);
  return Number(rows[0]?.n);
};

describe('the ledger', () => {
  it('sums exactly, with unpriced calls beside the total and never in it', async () => {
    const costs = start();
    expect(costs.record(call(), miniAtHome)).toMatchObject({ costNanoUsd: 156_000n, pricing: 'priced' });
    costs.record(call({ usage: { ...noUsage, inputTokens: 1, cachedReadTokens: 1 } }), miniAtHome);
    const unknown = { ...miniAtHome, model: 'no-such-model' };
    expect(costs.record(call({ model: 'no-such-model' }), unknown)).toMatchObject({
      costNanoUsd: null,
      pricing: 'unpriced',
    });
    costs.record(call({ tenantId: other.tenantId }), miniAtHome);

    const summary = await costs.summary(acme, { from: undefined, to: undefined });
    expect(summary).toMatchObject({
      calls: 3n,
      cost_nano_usd: 156_075n,
      input_tokens: 2001n,
      cached_read_tokens: 1n,
      unpriced_calls: 1n,
      unpriced_tokens: 1010n,
    });
    const rows = await costs.calls(acme, {
      limit: 10,
      after: null,
      correlationId: 'correlation-1',
      earlierAttempts: false,
    });
    expect(rows.map((row) => [row.pricing_state, row.cost_nano_usd])).toEqual([
      ['unpriced', null],
      ['priced', 75n],
      ['priced', 156_000n],
    ]);
    expect(rows[2]?.raw_usage).toEqual({ prompt_tokens: 1000, completion_tokens: 10 });
  });

  it('copies each price that a row used into the dated table, once', async () => {
    const costs = start();
    for (let n = 0; n < 3; n++) costs.record(call(), miniAtHome);
    await costs.flush();
    costs.record(call(), miniAtHome);
    await costs.flush();
    const { rows } = await sql<{
      id: string;
      components: unknown;
      used: bigint;
    }>`select p.id, p.components, count(*) as used
      from model_prices p join ledger l on l.price_id = p.id group by 1, 2`.execute(test.database.platform);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ components: { input_mtok: '0.15', output_mtok: '0.6' }, used: 4n });
  });

  it('is read by its own tenant only and written by no tenant', async () => {
    const costs = start();
    costs.record(call(), miniAtHome);
    await costs.flush();
    const seen = (scope: typeof acme) =>
      test.database.inTenant(scope, async (tx) => (await sql`select 1 from ledger`.execute(tx)).rows.length);
    expect(await seen(acme)).toBe(1);
    expect(await seen(other)).toBe(0);
    for (const statement of [
      sql`delete from ledger`,
      sql`insert into ledger select * from ledger`,
      sql`truncate ledger`,
    ]) {
      await expect(test.database.inTenant(acme, (tx) => statement.execute(tx))).rejects.toThrow(
        'permission denied',
      );
    }
  });

  it('is never updated, not even by the owner', async () => {
    const costs = start();
    costs.record(call(), miniAtHome);
    await costs.flush();
    await expect(sql`update ledger set cost_nano_usd = 0`.execute(test.database.platform)).rejects.toThrow(
      'ledger rows are never changed',
    );
  });

  it('replays what a killed process left, and replaying it again adds nothing', async () => {
    const dead = start({ add: () => Promise.reject(new Error('the database is away')) });
    for (let n = 0; n < 40; n++) await dead.record(call(), miniAtHome).written;
    const spool = join(dataDir, 'spool');
    const segments = readdirSync(spool).map((name) => [name, readFileSync(join(spool, name))] as const);
    expect(await countRows()).toBe(0);

    await start().flush();
    expect(await countRows()).toBe(40);

    // As after a crash between the commit and the removal of the segment.
    for (const [name, bytes] of segments) writeFileSync(join(spool, name), bytes);
    await start().flush();
    expect(await countRows()).toBe(40);
    expect(readdirSync(spool).filter((name) => segments.some(([old]) => old === name))).toEqual([]);
  });

  it('waits for a database that is away and writes everything when it is back', async () => {
    let away = true;
    const costs = start({
      add: (rows) =>
        away ? Promise.reject(Object.assign(new Error('gone'), { code: '57P01' })) : store.add(rows),
    });
    for (let n = 0; n < 5; n++) costs.record(call(), miniAtHome);
    expect(costs.canRecord()).toBe(true);
    away = false;
    await expect.poll(countRows).toBe(5);
  });

  it('sets aside a row that the database will never take, and writes the others', async () => {
    const costs = start();
    costs.record(call(), miniAtHome);
    costs.record(call({ tenantId: newId() }), miniAtHome);
    costs.record(call(), miniAtHome);
    await costs.flush();
    expect(await countRows()).toBe(2);
    const aside = readFileSync(join(dataDir, 'spool', 'rejected-rows.log'), 'utf8')
      .trim()
      .split('\n');
    expect(aside).toHaveLength(1);
    expect(JSON.parse(aside[0] ?? '')).toMatchObject({ reason: expect.stringContaining('foreign key') });
  });

  it('records a call whose provider sent usage that no database can hold, without it', async () => {
    const costs = start();
    costs.record(call({ rawUsage: '{"note":"\\u0000"}' }), miniAtHome);
    costs.record(call({ rawUsage: '{\n  "prompt_tokens":\r\n 7}' }), miniAtHome);
    await costs.flush();
    const rows = await costs.calls(acme, {
      limit: 10,
      after: null,
      correlationId: null,
      earlierAttempts: false,
    });
    // Both may be of the same millisecond, and then come in either order.
    const usages = rows.map((row) => JSON.stringify(row.raw_usage)).sort();
    expect(usages).toEqual(['null', '{"prompt_tokens":7}']);
    expect(rows.every((row) => row.cost_nano_usd === 156_000n)).toBe(true);
  });

  it('gives pages in a stable order', async () => {
    const costs = start();
    const at = new Date();
    for (let n = 0; n < 7; n++) costs.record(call({ at }), miniAtHome);
    const first = await costs.calls(acme, {
      limit: 4,
      after: null,
      correlationId: null,
      earlierAttempts: false,
    });
    const last = first.at(-1);
    if (!last) throw new Error('the first page is empty');
    const after = { createdAt: last.created_at, id: last.id };
    const second = await costs.calls(acme, { limit: 4, after, correlationId: null, earlierAttempts: false });
    expect(new Set([...first, ...second].map((row) => row.id)).size).toBe(7);
  });

  it('refuses bounds that make no sense', async () => {
    const costs = start();
    const day = (text: string) => new Date(text);
    await expect(costs.summary(acme, { from: day('2026-02-01'), to: day('2026-01-01') })).rejects.toThrow(
      'after "from"',
    );
    await expect(costs.summary(acme, { from: day('2024-01-01'), to: day('2026-01-01') })).rejects.toThrow(
      '366',
    );
  });
});
