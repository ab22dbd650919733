import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { addLedgerRows, type LedgerRowGiven } from '../../../test/harness/ledger-rows.ts';
import { addTenant } from '../../../test/harness/tenants.ts';
import type { Principal } from '../../access/index.ts';
import { systemClock } from '../../platform/clock.ts';
import { createIds } from '../../platform/ids.ts';
import { createLog } from '../../platform/log.ts';
import { systemRandom } from '../../platform/random.ts';
import { createInvoices, type Invoices } from './invoices.service.ts';
import { createInvoicesStore } from './invoices.store.ts';

const newId = createIds(systemClock, systemRandom);
let now = new Date('2026-11-20T12:00:00Z');
const clock = { now: () => now, sleep: () => new Promise<void>(() => {}) };

let test: TestDatabase;
let invoices: Invoices;

beforeAll(async () => {
  test = await createTestDatabase();
  invoices = createInvoices({
    store: createInvoicesStore(test.database),
    clock,
    newId,
    log: createLog('silent'),
    flush: async () => {},
  });
});
afterAll(() => test.drop());

const slugs = new Map<string, string>();
async function tenant(slug: string, timeZone = 'UTC'): Promise<Principal> {
  const tenantId = newId();
  slugs.set(tenantId, slug);
  await addTenant(test.database, tenantId, slug, timeZone);
  return principalOf(tenantId, slug, timeZone);
}

function principalOf(tenantId: string, slug: string, timeZone: string): Principal {
  return {
    tenantId,
    readerTokens: [],
    tenant: { id: tenantId, slug, name: slug, timeZone },
  } as unknown as Principal;
}

const call = (
  principal: Principal,
  at: string,
  costNanoUsd: bigint | null,
  given: Partial<LedgerRowGiven> = {},
) => ({
  id: newId(),
  tenantId: principal.tenantId,
  at: new Date(at),
  costNanoUsd,
  inputTokens: 100,
  outputTokens: 10,
  ...given,
});

async function adjust(
  principal: Principal,
  at: string,
  nanoUsd: bigint,
  reason = 'A slow day',
): Promise<void> {
  await sql`insert into ledger_adjustments (id, tenant_id, at, kind, delta_nano_usd, reason, batch_id, created_by, created_at)
    values (${newId()}, ${principal.tenantId}, ${new Date(at)}, 'correction', ${nanoUsd}, ${reason}, ${newId()}, 'key', ${now})`.execute(
    test.database.platform,
  );
}

const kinds = (lines: readonly { kind: string; month: string; count: number; nanoUsd: bigint }[]) =>
  lines.map(({ kind, month, count, nanoUsd }) => [kind, month, count, nanoUsd]);

describe('an invoice', () => {
  it('is a draft while its month goes on and is issued after it, never to be changed', async () => {
    const acme = await tenant('acme');
    now = new Date('2026-10-31T23:30:00Z');
    await addLedgerRows(test.database, [
      call(acme, '2026-10-01T00:00:00Z', 4_999_999n),
      call(acme, '2026-10-31T23:00:00Z', 10_000_001n, { model: 'gpt-4o', final: true }),
      call(acme, '2026-10-15T00:00:00Z', null, { model: 'unheard-of' }),
    ]);
    const { draft, issued } = await invoices.list(acme, { limit: 10, after: null });
    expect(draft).toMatchObject({ status: 'draft', id: '2026-10', number: null, totalCents: 2n });
    expect(issued).toEqual([]);

    now = new Date('2026-11-01T00:59:00Z');
    await invoices.issueDue();
    expect((await invoices.list(acme, { limit: 10, after: null })).issued).toEqual([]);
    now = new Date('2026-11-01T01:00:00Z');
    const october = await invoices.invoice(acme, '2026-10');
    expect(october).toMatchObject({
      status: 'issued',
      number: 'acme-2026-10',
      exactNanoUsd: 15_000_000n,
      totalCents: 2n,
    });
    expect(kinds(october.lines)).toEqual([
      ['usage', '2026-10', 1, 10_000_001n],
      ['usage', '2026-10', 1, 4_999_999n],
      ['unpriced', '2026-10', 1, 0n],
    ]);
    expect(october.lines.map(({ cents }) => cents)).toEqual([1n, 1n, 0n]);
    expect(await invoices.invoice(acme, october.id)).toEqual(october);
    const change = sql`update invoices set total_cents = 0`.execute(test.database.platform);
    await expect(change).rejects.toThrow(/never changed/);
    const stranger = await tenant('stranger');
    await expect(invoices.invoice(stranger, october.id)).rejects.toThrow(/no such invoice/);
    await expect(invoices.invoice(stranger, '2026-10')).rejects.toThrow(/no such invoice/);
  });

  it('asks once for what came after the invoice of its month: calls, credits and prices', async () => {
    const late = await tenant('late');
    now = new Date('2026-10-20T00:00:00Z');
    await addLedgerRows(test.database, [call(late, '2026-10-10T00:00:00Z', 50_000_000n)]);
    await adjust(late, '2026-10-11T00:00:00Z', -10_000_000n, 'In time');
    now = new Date('2026-11-02T00:00:00Z');
    const october = await invoices.invoice(late, '2026-10');
    expect(october.exactNanoUsd).toBe(40_000_000n);

    await addLedgerRows(test.database, [
      call(late, '2026-10-12T00:00:00Z', 7_000_000n),
      call(late, '2026-09-30T00:00:00Z', 1_000_000n),
      call(late, '2026-11-01T05:00:00Z', 20_000_000n),
    ]);
    await adjust(late, '2026-10-11T00:00:00Z', -3_000_000n);
    const november = await invoices.invoice(late, '2026-11');
    expect(kinds(november.lines)).toEqual([
      ['usage', '2026-11', 1, 20_000_000n],
      ['late', '2026-10', 1, 7_000_000n],
      ['late', 'earlier', 1, 1_000_000n],
      ['adjustment', '2026-10', 1, -3_000_000n],
    ]);
    now = new Date('2026-12-02T00:00:00Z');
    expect((await invoices.invoice(late, '2026-11')).lines).toEqual(november.lines);
    expect((await invoices.invoice(late, '2026-12')).lines).toEqual([]);
    expect((await invoices.invoice(late, '2026-10')).exactNanoUsd).toBe(40_000_000n);
  });

  it('begins and ends where the tenant’s month does, and goes on from there when the zone changes', async () => {
    const berlin = await tenant('berlin', 'Europe/Berlin');
    now = new Date('2026-11-15T00:00:00Z');
    const moments = [
      '2026-09-30T21:59:59.999Z',
      '2026-09-30T22:00:00Z',
      '2026-10-31T22:59:59.999Z',
      '2026-10-31T23:30:00Z',
    ];
    await addLedgerRows(
      test.database,
      moments.map((at, n) => call(berlin, at, 10n ** BigInt(n))),
    );
    await invoices.issueDue();
    expect((await invoices.invoice(berlin, '2026-09')).exactNanoUsd).toBe(1n);
    const october = await invoices.invoice(berlin, '2026-10');
    expect(october).toMatchObject({ exactNanoUsd: 110n, start: new Date('2026-09-30T22:00:00Z') });

    await sql`update tenants set time_zone = 'America/New_York' where id = ${berlin.tenantId}`.execute(
      test.database.platform,
    );
    const moved = principalOf(berlin.tenantId, 'berlin', 'America/New_York');
    const november = await invoices.invoice(moved, '2026-11');
    expect(november).toMatchObject({
      exactNanoUsd: 1000n,
      start: new Date('2026-10-31T23:00:00Z'),
      end: new Date('2026-12-01T05:00:00Z'),
    });
  });

  it('is issued once, whoever asks for it at the same time', async () => {
    const busy = await tenant('busy');
    now = new Date('2026-11-10T00:00:00Z');
    await addLedgerRows(test.database, [
      call(busy, '2026-08-10T00:00:00Z', 5n),
      call(busy, '2026-10-10T00:00:00Z', 6n),
    ]);
    await adjust(busy, '2026-09-01T00:00:00Z', 100n);
    const all = await Promise.all([
      invoices.issueDue(),
      ...Array.from({ length: 5 }, () => invoices.list(busy, { limit: 10, after: null })),
    ]);
    expect(all).toHaveLength(6);
    const { issued } = await invoices.list(busy, { limit: 10, after: null });
    expect(issued.map(({ month, exact_nano_usd }) => [month, exact_nano_usd])).toEqual([
      ['2026-10', 6n],
      ['2026-09', 100n],
      ['2026-08', 5n],
    ]);
  });

  it('gathers what would make too many lines', async () => {
    const many = await tenant('many');
    now = new Date('2026-10-20T00:00:00Z');
    const rows = Array.from({ length: 1_100 }, (_, n) =>
      call(many, '2026-10-10T00:00:00Z', BigInt(n), { model: `made-up-${n}` }),
    );
    await addLedgerRows(test.database, rows);
    const october = await invoices.invoice(many, '2026-10');
    expect(october.lines).toHaveLength(1_001);
    expect(october.lines.at(-1)).toMatchObject({ description: 'Other models', count: 100, nanoUsd: 4_950n });
    expect(october.exactNanoUsd).toBe((1_099n * 1_100n) / 2n);
  });
});

describe('1,000 random ledgers', () => {
  it('come to invoices that are the ledger’s sum to the cent, and add up over the months', async () => {
    const seed = systemRandom.bytes(4).readUInt32BE();
    const random = mulberry(seed);
    const zones = [
      'UTC',
      'Europe/Berlin',
      'America/New_York',
      'Asia/Kolkata',
      'Pacific/Auckland',
      'Asia/Tokyo',
    ];
    const tenants = Array.from({ length: 1_000 }, (_, n) => ({
      id: newId(),
      slug: `r${n}`,
      timeZone: zones[n % zones.length] ?? 'UTC',
    }));
    await sql`insert into tenants (id, slug, name, tier, region, status, time_zone, created_at, updated_at)
      select id, slug, slug, 'free', 'eu', 'active', time_zone, now(), now()
      from jsonb_to_recordset(${JSON.stringify(tenants.map((t) => ({ ...t, time_zone: t.timeZone })))}::jsonb)
        as row (id uuid, slug text, time_zone text)`.execute(test.database.platform);

    const exact = new Map<string, bigint>();
    /** Money of every size: from single nano-dollars to thousands of dollars. */
    const money = () => BigInt(Math.floor(random() * 10 ** Math.floor(random() * 13)));
    const fill = async (from: string, to: string) => {
      const [start, end] = [Date.parse(from), Date.parse(to)];
      const rows: LedgerRowGiven[] = [];
      const credits: { id: string; tenant_id: string; at: string; delta: string; reason: string }[] = [];
      for (const { id } of tenants) {
        const at = () => new Date(Math.floor(start + random() * (end - start)));
        for (let n = Math.floor(random() * 20); n > 0; n--) {
          const cost = random() < 0.1 ? null : money();
          const model = `model-${Math.floor(random() * 4)}`;
          rows.push({ id: newId(), tenantId: id, at: at(), costNanoUsd: cost, model, final: random() < 0.9 });
          exact.set(id, (exact.get(id) ?? 0n) + (cost ?? 0n));
        }
        for (let n = Math.floor(random() * 3); n > 0; n--) {
          const delta = money() * (random() < 0.5 ? -1n : 1n);
          if (delta === 0n) continue;
          const reason = random() < 0.5 ? 'One' : 'Another';
          credits.push({ id: newId(), tenant_id: id, at: at().toISOString(), delta: String(delta), reason });
          exact.set(id, (exact.get(id) ?? 0n) + delta);
        }
      }
      await addLedgerRows(test.database, rows);
      await sql`insert into ledger_adjustments
          (id, tenant_id, at, kind, delta_nano_usd, reason, batch_id, created_by, created_at)
        select id, tenant_id, at, 'correction', delta, reason, id, 'key', ${now}
        from jsonb_to_recordset(${JSON.stringify(credits)}::jsonb)
          as row (id uuid, tenant_id uuid, at timestamptz, delta bigint, reason text)`.execute(
        test.database.platform,
      );
    };
    const check = async () => {
      const { rows } = await sql<{
        tenant_id: string;
        exact: bigint;
        cents: bigint;
        lines: { nano_usd: string; cents: string }[];
      }>`
        select tenant_id, exact_nano_usd as exact, total_cents as cents, lines from invoices
        where tenant_id = any (${tenants.map(({ id }) => id)})`.execute(test.database.platform);
      const invoiced = new Map<string, bigint>();
      for (const row of rows) {
        const lines = row.lines.reduce((sum, line) => sum + BigInt(line.nano_usd), 0n);
        const shown = row.lines.reduce((sum, line) => sum + BigInt(line.cents), 0n);
        // Half up, said in another way: twice the distance to the exact sum is in (-1, 1] cents.
        const twice = 2n * (row.cents * 10_000_000n - row.exact);
        const fair = twice > -10_000_000n && twice <= 10_000_000n;
        if (lines !== row.exact || shown !== row.cents || !fair) {
          throw new Error(
            `seed ${seed}, tenant ${row.tenant_id}: ${row.exact} ${row.cents} ${lines} ${shown}`,
          );
        }
        invoiced.set(row.tenant_id, (invoiced.get(row.tenant_id) ?? 0n) + row.exact);
      }
      for (const { id } of tenants) {
        expect({ seed, id, sum: invoiced.get(id) ?? 0n }).toEqual({ seed, id, sum: exact.get(id) ?? 0n });
      }
      return rows.length;
    };

    now = new Date('2026-09-20T00:00:00Z');
    await fill('2026-07-02T12:00:00Z', '2026-07-30T12:00:00Z');
    await fill('2026-08-01T12:00:00Z', '2026-08-30T12:00:00Z');
    await invoices.issueDue();
    expect(await check()).toBeGreaterThan(1_500);
    // Now some that are late, for months that have their invoices, and the month that goes on.
    await fill('2026-07-02T12:00:00Z', '2026-09-15T12:00:00Z');
    now = new Date('2026-10-03T00:00:00Z');
    await invoices.issueDue();
    expect(await check()).toBeGreaterThan(2_500);
  }, 240_000);
});

/** A small generator, so that a failure can be seen again by its seed. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
