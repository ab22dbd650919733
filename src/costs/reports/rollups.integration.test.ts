import fc from 'fast-check';
import { sql } from 'kysely';
import pg from 'pg';
import { Temporal } from 'temporal-polyfill';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import {
  insertOfRow,
  insertTestPrice,
  ordinaryRow,
  type ReportedRow,
} from '../../../test/harness/reported-rows.ts';
import { addTenant } from '../../../test/harness/tenants.ts';
import { systemClock } from '../../platform/clock.ts';
import { createIds } from '../../platform/ids.ts';
import { systemRandom } from '../../platform/random.ts';
import { type Dimension, dimensions } from './dimensions.ts';
import { createReportStore, type Period } from './report.store.ts';
import { createRollupStore } from './rollup.store.ts';

const newId = createIds(systemClock, systemRandom);
const tenants = [newId(), newId()];
const scopes = tenants.map((tenantId) => ({ tenantId, readerTokens: [] }));
const [acme] = scopes as [(typeof scopes)[number]];

let test: TestDatabase;
let rollups: ReturnType<typeof createRollupStore>;
let reports: ReturnType<typeof createReportStore>;
/** Two writers of the ledger, and one with a transaction that is none of theirs. */
let writers: pg.Client[];

beforeAll(async () => {
  test = await createTestDatabase();
  rollups = createRollupStore(test.database);
  reports = createReportStore(test.database);
  for (const [index, id] of tenants.entries()) {
    await addTenant(test.database, id, `tenant-${index}`);
  }
  writers = await Promise.all(
    [0, 1, 2].map(async () => {
      const client = new pg.Client({ connectionString: test.url });
      await client.connect();
      return client;
    }),
  );
  await insertTestPrice(writers[0] as pg.Client);
});
afterAll(async () => {
  await Promise.all(writers.map((writer) => writer.end()));
  await test.drop();
});
beforeEach(() => clear());
afterEach(async () => {
  for (const writer of writers) await writer.query('rollback');
});

async function clear(): Promise<void> {
  await sql`delete from ledger`.execute(test.database.platform);
  await sql`delete from ledger_adjustments`.execute(test.database.platform);
  await sql`delete from cost_rollups`.execute(test.database.platform);
  await sql`update cost_rollup_horizon set ledger_added_by = default, ledger_id = default,
    adjustments_added_by = default, adjustments_id = default, hours_since = default`.execute(
    test.database.platform,
  );
}

async function rollUpAll(maxRows = 1_000): Promise<void> {
  while ((await rollups.rollUp(maxRows)) === 'more');
}

interface Fact extends ReportedRow {
  readonly kind: 'row' | 'adjustment';
}

const start = Date.UTC(2026, 9, 20);
const days = 45;
const moment = fc.oneof(
  fc.integer({ min: 0, max: days * 86_400 }).map((seconds) => start + seconds * 1_000),
  // The very edges of quarters, hours, days and months.
  fc.integer({ min: 0, max: days * 96 }).map((quarter) => start + quarter * 900_000),
  fc.integer({ min: 0, max: days * 24 }).map((hour) => start + hour * 3_600_000 - 1),
);
const one = <T>(...values: T[]) => fc.constantFrom(...values);
const fact: fc.Arbitrary<Omit<Fact, 'id'>> = fc.record({
  kind: fc.oneof({ weight: 5, arbitrary: one('row' as const) }, one('adjustment' as const)),
  tenantId: one(...tenants),
  at: moment.map((ms) => new Date(ms)),
  keyId: one('key-1', 'key-2'),
  userId: one(null, '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002'),
  promptId: one(null, 'welcome', 'farewell'),
  route: one(null, 'fast'),
  provider: one('sim', 'other'),
  model: one('gpt-4o-mini', '=cmd()', 'ü'.repeat(301)),
  tags: one([], ['beta'], ['beta', 'checkout'], ['checkout']),
  costNanoUsd: fc.option(fc.bigInt({ min: 0n, max: 10n ** 15n }), { freq: 6 }),
  inputTokens: fc.integer({ min: 0, max: 1_000_000 }),
  outputTokens: fc.integer({ min: 0, max: 1_000_000 }),
  final: fc.boolean(),
});

async function add(writer: pg.Client, given: readonly Fact[]): Promise<void> {
  for (const each of given) await writer.query(...insertOfRow(each.kind, each));
}

/** The same sums, by nothing but a loop. */
function expected(facts: readonly Fact[]) {
  const rows = facts.filter(({ kind }) => kind === 'row');
  const sum = (of: readonly Fact[], value: (fact: Fact) => bigint) =>
    of.reduce((total, each) => total + value(each), 0n);
  const earlier = rows.filter(({ final }) => !final);
  const unpriced = rows.filter(({ costNanoUsd }) => costNanoUsd === null);
  return {
    calls: BigInt(rows.length - earlier.length),
    cost_nano_usd: sum(rows, ({ costNanoUsd }) => costNanoUsd ?? 0n),
    input_tokens: sum(rows, ({ inputTokens }) => BigInt(inputTokens)),
    output_tokens: sum(rows, ({ outputTokens }) => BigInt(outputTokens)),
    earlier_attempts: BigInt(earlier.length),
    earlier_cost_nano_usd: sum(earlier, ({ costNanoUsd }) => costNanoUsd ?? 0n),
    unpriced_calls: BigInt(unpriced.filter(({ final }) => final).length),
    unpriced_tokens: sum(unpriced, ({ inputTokens, outputTokens }) => BigInt(inputTokens + outputTokens)),
    adjustments_nano_usd: sum(
      facts.filter(({ kind }) => kind === 'adjustment'),
      ({ costNanoUsd }) => costNanoUsd || 1n,
    ),
  };
}

function valuesOf(dimension: Dimension, each: Fact): readonly (string | null)[] {
  if (dimension === 'tag') return each.tags.length === 0 ? [null] : each.tags;
  const value = {
    user: each.userId,
    key: each.keyId,
    prompt: each.promptId,
    model: [...each.model].slice(0, 300).join(''),
    provider: each.provider,
    route: each.route,
  }[dimension];
  return [value];
}

const within =
  ({ from, to }: Period) =>
  ({ at }: Fact) =>
    at >= from && at < to;

/** Every report of every tenant is what a loop over the committed rows comes to. */
async function expectExact(committed: readonly Fact[], period: Period, timeZone: string): Promise<void> {
  for (const scope of scopes) {
    const facts = committed.filter(({ tenantId }) => tenantId === scope.tenantId).filter(within(period));
    expect(await reports.sums(scope, period)).toMatchObject(expected(facts));
    for (const dimension of dimensions) {
      const groups = new Map<string | null, Fact[]>();
      for (const each of facts) {
        for (const value of valuesOf(dimension, each)) {
          groups.set(value, [...(groups.get(value) ?? []), each]);
        }
      }
      const lines = await readPages(scope, dimension, period);
      expect(lines.map(({ value }) => value)).toHaveLength(groups.size);
      for (const line of lines)
        expect(line).toMatchObject({ value: line.value, ...expected(groups.get(line.value) ?? []) });
      const costs = lines.map(({ cost_nano_usd }) => cost_nano_usd);
      expect(costs).toEqual(costs.toSorted((left, right) => (left < right ? 1 : left > right ? -1 : 0)));
      for (const [value, its] of groups) {
        expect(await reports.spent(scope, dimension, value, period)).toBe(expected(its).cost_nano_usd);
      }
    }
    const byDay = Map.groupBy(facts, ({ at }) => dayOf(at, timeZone));
    const dayLines = await reports.days(scope, period, timeZone, { limit: 400, after: null });
    expect(dayLines.map(({ day }) => day)).toEqual([...byDay.keys()].sort());
    for (const line of dayLines) expect(line).toMatchObject(expected(byDay.get(line.day) ?? []));
  }
}

/** Through small pages, so that their seams are crossed. */
async function readPages(scope: (typeof scopes)[number], dimension: Dimension, period: Period) {
  const lines = [];
  for (let after = null; ; ) {
    const page = await reports.breakdown(scope, dimension, period, { limit: 2, after });
    lines.push(...page);
    const last = page.at(-1);
    if (!last || page.length < 2) return lines;
    after = { costNanoUsd: last.cost_nano_usd, value: last.value };
  }
}

function dayOf(at: Date, timeZone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(at.getTime())
    .toZonedDateTimeISO(timeZone)
    .toPlainDate()
    .toString();
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: one('add' as const), facts: fc.array(fact, { maxLength: 8 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: one('hold' as const),
      writer: one(0, 1),
      facts: fc.array(fact, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: one('commit' as const, 'rollback' as const), writer: one(0, 1) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: one('roll up' as const), maxRows: one(1, 2, 5, 100), times: one(1, 3) }),
  },
  { weight: 1, arbitrary: fc.record({ do: one('forget hours' as const), day: one(5, 15, 30) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: one('report' as const),
      from: moment,
      to: moment,
      timeZone: one('UTC', 'Europe/Berlin', 'Asia/Kolkata', 'America/St_Johns', 'Pacific/Chatham'),
    }),
  },
);

describe('reports', () => {
  it('are the sum of the committed rows at any moment, whatever commits when and how far the job is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16 }), async (steps) => {
        await clear();
        const committed: Fact[] = [];
        const held: [Fact[], Fact[]] = [[], []];
        const withIds = (facts: readonly Omit<Fact, 'id'>[]) =>
          facts.map((each) => ({ ...each, id: newId() }));
        for (const each of steps) {
          switch (each.do) {
            case 'add': {
              const facts = withIds(each.facts);
              // A statement of its own for each row: transactions that end at once, between those that are held.
              await add(writers[2] as pg.Client, facts);
              committed.push(...facts);
              break;
            }
            case 'hold': {
              const facts = withIds(each.facts);
              const writer = writers[each.writer] as pg.Client;
              if (held[each.writer as 0 | 1].length === 0) await writer.query('begin');
              held[each.writer as 0 | 1].push(...facts);
              await add(writer, facts);
              break;
            }
            case 'commit':
            case 'rollback': {
              const its = held[each.writer as 0 | 1].splice(0);
              await (writers[each.writer] as pg.Client).query(each.do);
              if (each.do === 'commit') committed.push(...its);
              break;
            }
            case 'roll up':
              for (let time = 0; time < each.times; time++) await rollups.rollUp(each.maxRows);
              break;
            case 'forget hours':
              while ((await rollups.keepHoursSince(new Date(start + each.day * 86_400_000))) === 'more');
              break;
            case 'report': {
              const [from, to] = [each.from, each.to].toSorted((left, right) => left - right);
              const period = { from: new Date(from ?? 0), to: new Date((to ?? 0) + 1) };
              await expectExact(committed, period, each.timeZone);
            }
          }
        }
        const everything = { from: new Date(start - 1), to: new Date(start + (days + 1) * 86_400_000) };
        await expectExact(committed, everything, 'UTC');
        for (const [index, its] of held.entries()) {
          if (its.length > 0) await (writers[index] as pg.Client).query('rollback');
        }
        await rollUpAll(3);
        await expectExact(committed, everything, 'Europe/Berlin');
      }),
      { numRuns: 20 },
    );
  }, 240_000);

  it('go on for everybody when what one tenant is told adds up to more than a sum can hold', async () => {
    await clear();
    const [greedy = '', modest = ''] = tenants;
    const row = (tenantId: string, costNanoUsd: bigint): Fact => ({
      ...ordinaryRow,
      kind: 'row',
      id: newId(),
      tenantId,
      at: new Date(start),
      costNanoUsd,
    });
    const most = 9_000_000_000_000_000_000n;
    await add(writers[2] as pg.Client, [...[1, 2, 3].map(() => row(greedy, most)), row(modest, 5n)]);
    // All at once, and one after another on top of what is there.
    await rollUpAll();
    await add(writers[2] as pg.Client, [row(greedy, most), row(modest, 7n)]);
    // Rows wait to be added up while any transaction goes on that is older, also one of another test's database.
    await vi.waitFor(async () => {
      await rollUpAll(1);
      const { rows } = await sql<{ sum: bigint }>`select cost_nano_usd as sum from cost_rollups
        where tenant_id = ${modest} and dimension = 'all' and grain = 'month'`.execute(
        test.database.platform,
      );
      expect(rows).toEqual([{ sum: 12n }]);
    });
  });

  it('do not miss a row whose transaction began first and ended last', async () => {
    const make = (costNanoUsd: bigint): Fact => ({
      ...ordinaryRow,
      kind: 'row',
      id: newId(),
      tenantId: acme.tenantId,
      at: new Date(start),
      costNanoUsd,
    });
    const [long, short] = writers as [pg.Client, pg.Client];
    await long.query('begin');
    await add(long, [make(1n)]);
    await add(short, [make(10n)]);
    await rollUpAll();
    const period = { from: new Date(start), to: new Date(start + 1) };
    expect((await reports.sums(acme, period)).cost_nano_usd).toBe(10n);
    await long.query('commit');
    expect((await reports.sums(acme, period)).cost_nano_usd).toBe(11n);
    await vi.waitFor(async () => {
      await rollUpAll();
      expect((await reports.sums(acme, period)).cost_nano_usd).toBe(11n);
      const { rows } = await sql<{ cost: bigint }>`select cost_nano_usd as cost from cost_rollups
        where dimension = 'all' and grain = 'month'`.execute(test.database.platform);
      expect(rows).toEqual([{ cost: 11n }]);
    });
  });

  it('count each row once while two instances roll up and two writers write', async () => {
    const facts = fc.sample(fact, { numRuns: 400, seed: 7 }).map((each) => ({ ...each, id: newId() }));
    let writing = true;
    const write = async (writer: pg.Client, its: readonly Fact[]) => {
      for (let at = 0; at < its.length; at += 10) {
        await writer.query('begin');
        await add(writer, its.slice(at, at + 10));
        await writer.query('commit');
      }
    };
    const instances = [rollups, createRollupStore(test.database)].map(async (instance) => {
      const outcomes = new Set<string>();
      while (writing) outcomes.add(await instance.rollUp(7));
      return outcomes;
    });
    await Promise.all([
      write(writers[0] as pg.Client, facts.slice(0, 200)),
      write(writers[1] as pg.Client, facts.slice(200)),
    ]);
    writing = false;
    await Promise.all(instances);
    await rollUpAll(7);
    await expectExact(facts, { from: new Date(start - 1), to: new Date(start + days * 86_400_000) }, 'UTC');
    const { rows } = await sql<{
      waiting: bigint;
    }>`select count(*) as waiting from ledger, cost_rollup_horizon
      where (added_by, id) > (ledger_added_by, ledger_id)`.execute(test.database.platform);
    expect(rows).toEqual([{ waiting: 0n }]);
  });

  it('begin again after a restore into a server whose transactions have smaller numbers', async () => {
    const [fact1, fact2] = fc.sample(fact, { numRuns: 2, seed: 3 }).map((each, index) => ({
      ...each,
      id: newId(),
      kind: 'row' as const,
      tenantId: acme.tenantId,
      at: new Date(start + index),
      costNanoUsd: 5n,
    })) as [Fact, Fact];
    await add(writers[0] as pg.Client, [fact1]);
    expect(await rollups.renumberAfterRestore()).toBe(false);
    // As a dump leaves them: rows and horizon from transactions that are far ahead.
    const far = '99999999999';
    await sql`update cost_rollup_horizon set ledger_added_by = ${far}::xid8`.execute(test.database.platform);
    await add(writers[0] as pg.Client, [fact2]);
    await rollUpAll();
    const period = { from: new Date(start), to: new Date(start + 10) };
    expect(await rollups.renumberAfterRestore()).toBe(true);
    expect(await rollups.renumberAfterRestore()).toBe(false);
    expect((await reports.sums(acme, period)).cost_nano_usd).toBe(10n);
    await rollUpAll();
    expect((await reports.sums(acme, period)).cost_nano_usd).toBe(10n);
  });
});
