/**
 * Cost reports over many ledger rows: `npm run bench:costs -- [--rows 1000000] [--runs 60]`.
 *
 * Fills the ledger of one tenant with a year of synthetic calls (50 keys, 20 models of 5 providers, 200 prompts, 40 users,
 * 12 tags, weekdays busier than weekends), rolls it up, and asks for each report over a month, over the year and over
 * spans that begin and end in the middle of an hour; first with everything rolled up, then with rows that wait. Every
 * report is compared with a plain sum over the ledger once. Prints figures; fails on a wrong sum, never by time.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sql } from 'kysely';
import { dimensions } from '../src/costs/reports/dimensions.ts';
import { createReportStore } from '../src/costs/reports/report.store.ts';
import { createRollupStore } from '../src/costs/reports/rollup.store.ts';
import { createDatabase } from '../src/platform/database/database.ts';
import { createEmbeddedPostgres } from '../src/platform/database/embedded/index.ts';
import { migrate } from '../src/platform/database/migrate.ts';
import { createLog } from '../src/platform/log.ts';
import { percentileOf } from './statistics.ts';

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '1000000' }, runs: { type: 'string', default: '60' } },
});
const rows = Number(values.rows);
const runs = Number(values.runs);
const rowsAtOnce = 10_000;
const keptHoursDays = 70;
const waitingRows = 10_000;
const tenantId = '00000000-0000-7000-8000-000000000001';
const scope = { tenantId, readerTokens: [] };
const yearStart = new Date('2025-11-01T00:00:00Z');
const yearEnd = new Date('2026-11-01T00:00:00Z');

const directory = await mkdtemp(join(tmpdir(), 'bench-costs-'));
const log = createLog('silent');
const server = createEmbeddedPostgres({ dataDir: directory, log });
const { url } = await server.start();
await migrate(url, log);
const database = createDatabase({
  url,
  pool: { min: 1, max: 4 },
  statementTimeoutMs: 60_000,
  log,
  nowMs: () => performance.now(),
});
const platform = database.platform;
const rollups = createRollupStore(database);
const reports = createReportStore(database);

try {
  await setUp();
  await timed(`ledger of ${rows} rows written`, rows, () => addRows(rows, yearStart, yearEnd));
  await rollUp();
  await rollUpLikeAServer();
  await sizes();
  await ask('everything rolled up');
  await addRows(waitingRows, new Date(yearEnd.getTime() - 3_600_000), yearEnd);
  await ask(`${waitingRows} rows wait to be rolled up`);
} finally {
  await database.stop();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
}

async function setUp(): Promise<void> {
  await sql`insert into tenants (id, slug, name, tier, region, status, created_at, updated_at)
    values (${tenantId}, 'bench', 'Bench', 'enterprise', 'eu', 'active', now(), now())`.execute(platform);
  await sql`insert into model_prices (id, version, provider, model, components)
    select 'bench-' || n, 'bench', 'bench', 'model-' || n, '{"input_mtok": "1"}' from generate_series(0, 19) n`.execute(
    platform,
  );
}

/** Ids by time, as the gateway makes them. Random within its span, from a seed; a Saturday or Sunday gets half of the rows that another day gets. */
async function addRows(count: number, from: Date, to: Date): Promise<void> {
  for (let done = 0; done < count; done += 100_000) {
    const some = Math.min(100_000, count - done);
    await platform.transaction().execute(async (tx) => {
      await sql`select setseed(${((done / 100_000 + 1) % 100) / 100})`.execute(tx);
      await sql`insert into ledger (id, tenant_id, at, correlation_id, key_id, user_id, operation, dialect, route,
          provider, model, tier, status, streamed, estimated, input_tokens, cached_read_tokens, cache_write_5m_tokens,
          cache_write_1h_tokens, output_tokens, reasoning_tokens, image_tokens, audio_tokens, pricing_state,
          price_version, price_id, cost_nano_usd, attempts, duration_ms, prompt_id, tags)
        select overlay(gen_random_uuid()::text placing regexp_replace(
            lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0'), '(.{8})', '\\1-') from 1 for 13)::uuid, ${tenantId}, at, 'correlation-' || n, 'key-' || key,
          ('00000000-0000-7000-8000-' || lpad(user_no::text, 12, '0'))::uuid, 'chat', 'openai-chat', 'route-' || key % 5,
          'provider-' || model % 5, 'model-' || model, 'primary', 'ok', n % 2 = 0, false, input, input / 4, 0, 0,
          output, 0, 0, 0, case when n % 50 = 0 then 'unpriced' else 'priced' end, 'bench',
          case when n % 50 <> 0 then 'bench-' || model end,
          case when n % 50 <> 0 then input * 150 + output * 600 end, 1, 400, 'prompt-' || prompt,
          case when n % 3 = 0 then '{}' else array['team-' || n % 7, 'stage-' || n % 5] end
        from (
          select n, floor(random() * 50)::int as key, floor(random() * 20)::int as model,
            floor(random() * 200)::int as prompt, floor(random() * 40)::int as user_no,
            floor(random() * 8000)::bigint as input, floor(random() * 900)::bigint as output,
            case when extract(isodow from moment) > 5 and random() < 0.5 then moment - interval '2 days'
              else moment end as at
          from (select n, ${from}::timestamptz
              + (${(to.getTime() - from.getTime()) / 1_000} * (n - random()) / ${some}) * interval '1 second' as moment
            from generate_series(1, ${some}::int) n) moments
        ) drawn`.execute(tx);
    });
  }
  await sql`analyze ledger`.execute(platform);
}

/** All at once, as when an installation of the version before is started: months of rows that no rollup holds. */
async function rollUp(): Promise<void> {
  const midnight = new Date(yearEnd.getTime() - keptHoursDays * 86_400_000);
  await rollups.keepHoursSince(midnight);
  await timed('rolled up from nothing', rows, async () => {
    while ((await rollups.rollUp(rowsAtOnce)) === 'more');
  });
  await sql`vacuum analyze cost_rollups`.execute(platform);
}

/** As it goes on: what came in a few seconds is taken at once, into rollups that are there already. */
async function rollUpLikeAServer(): Promise<void> {
  const batch = 2_000;
  const times: number[] = [];
  for (let round = 0; round < 10; round++) {
    await addRows(batch, new Date(yearEnd.getTime() - 5_000), yearEnd);
    const before = performance.now();
    while ((await rollups.rollUp(rowsAtOnce)) === 'more');
    times.push(performance.now() - before);
  }
  const median = percentileOf(
    times.toSorted((left, right) => left - right),
    50,
  );
  console.log(
    `${batch} rows of the last seconds: ${median.toFixed(0)} ms, ${Math.round((batch / median) * 1_000)} rows/s`,
  );
}

async function sizes(): Promise<void> {
  const { rows: found } = await sql<{ name: string; rows: bigint; size: string }>`
    select 'ledger' as name, (select count(*) from ledger) as rows, pg_size_pretty(pg_total_relation_size('ledger')) as size
    union all select 'cost_rollups', (select count(*) from cost_rollups),
      pg_size_pretty(pg_total_relation_size('cost_rollups'))`.execute(platform);
  for (const { name, rows: count, size } of found) console.log(`${name}: ${count} rows, ${size}`);
}

async function ask(state: string): Promise<void> {
  const spans = {
    'one month': [new Date('2026-10-01T00:00:00Z'), yearEnd],
    'a month in Kolkata': [new Date('2026-09-30T18:30:00Z'), new Date('2026-10-31T18:30:00Z')],
    'the year': [yearStart, yearEnd],
    'a year, odd edges': [new Date('2025-11-03T10:07:13Z'), new Date('2026-10-30T16:41:59Z')],
    '30 days, odd edges': [new Date('2026-10-01T10:07:13Z'), new Date('2026-10-31T16:41:59Z')],
  } as const;
  console.log(`\n${state}; milliseconds, p50 / p95 of ${runs}`);
  for (const [name, [from, to]] of Object.entries(spans)) {
    const period = { from, to };
    await checkSum(period);
    const results = [await measure('summary', () => reports.sums(scope, period))];
    for (const dimension of dimensions) {
      results.push(
        await measure(dimension, () =>
          reports.breakdown(scope, dimension, period, { limit: 50, after: null }),
        ),
      );
    }
    results.push(
      await measure('day', () => reports.days(scope, period, 'Europe/Berlin', { limit: 366, after: null })),
    );
    console.log(`${name.padEnd(20)} ${results.join('  ')}`);
  }
}

async function measure(name: string, report: () => Promise<unknown>): Promise<string> {
  await report();
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const before = performance.now();
    await report();
    times.push(performance.now() - before);
  }
  times.sort((left, right) => left - right);
  return `${name} ${percentileOf(times, 50).toFixed(1)}/${percentileOf(times, 95).toFixed(1)}`;
}

/** Reports against a plain sum; by tag a row counts for each of its tags, so that one is not compared. */
async function checkSum(period: { from: Date; to: Date }): Promise<void> {
  const { rows: found } = await sql<{
    cost: bigint;
  }>`select coalesce(sum(cost_nano_usd), 0)::bigint as cost from ledger
    where at >= ${period.from} and at < ${period.to}`.execute(platform);
  const sums = await reports.sums(scope, period);
  const keys = await reports.breakdown(scope, 'key', period, { limit: 200, after: null });
  const days = await reports.days(scope, period, 'Asia/Kolkata', { limit: 400, after: null });
  const total = (lines: readonly { cost_nano_usd: bigint }[]) =>
    lines.reduce((sum, line) => sum + line.cost_nano_usd, 0n);
  const told = [sums.cost_nano_usd, total(keys), total(days)];
  if (told.some((cost) => cost !== found[0]?.cost)) {
    throw new Error(`the ledger holds ${found[0]?.cost}, reports say ${told.join(', ')}`);
  }
}

async function timed(what: string, count: number, work: () => Promise<void>): Promise<void> {
  const before = performance.now();
  await work();
  const seconds = (performance.now() - before) / 1_000;
  console.log(`${what}: ${seconds.toFixed(1)} s, ${Math.round(count / seconds)} rows/s`);
}
