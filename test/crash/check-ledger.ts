import type pg from 'pg';
import type { JournalCall } from '../../tools/simulator/journal.ts';
import { call, testAdminKey } from '../harness/server.ts';
import { answered } from './check-search.ts';
import { type CrashRun, chatModel, embeddingModel, report } from './house.ts';
import type { KnownCall } from './journal.ts';

interface LedgerRow {
  readonly id: string;
  readonly tenant_id: string;
  readonly correlation_id: string;
  readonly model: string;
  readonly status: string;
  readonly estimated: boolean;
  readonly raw_usage: unknown;
  readonly input_tokens: string;
  readonly cached_read_tokens: string;
  readonly output_tokens: string;
  readonly cost_nano_usd: string | null;
}

/** Nano-dollars per token, from OpenAI's price page: $0.15, $0.075 and $0.60 a million; $0.02 a million. */
const prices: Readonly<Record<string, { input: bigint; cached: bigint; output: bigint }>> = {
  [chatModel]: { input: 150n, cached: 75n, output: 600n },
  [embeddingModel]: { input: 20n, cached: 20n, output: 0n },
};

/**
 * For every call that was finished there is one row, with the usage that the provider sent and its price; for any
 * other at most one. @param since the first round whose calls are looked at.
 */
export async function checkLedger(
  run: CrashRun,
  client: pg.Client,
  url: string,
  since: number,
): Promise<void> {
  // Answers when everything that waits in the spool is in the ledger.
  await answered(run, () => call(url, testAdminKey, 'GET', '/api/v1/costs/summary'));
  const calls = run.journal.calls.filter((known) => known.round >= since);
  const { rows } = await client.query<LedgerRow>(
    `select id, tenant_id, correlation_id, model, status, estimated, raw_usage, input_tokens, cached_read_tokens,
       output_tokens, cost_nano_usd from ledger where correlation_id = any($1)`,
    [calls.map((known) => known.correlationId)],
  );
  const rowsOf = groupBy(rows, (row) => row.correlation_id);
  const sentOf = groupBy(run.simulator.calls(), (sent) => sent.headers['x-correlation-id'] ?? '');
  for (const known of calls) {
    const { correlationId } = known;
    judgeCall(run, known, rowsOf.get(correlationId) ?? [], sentOf.get(correlationId) ?? []);
  }
  for (const row of rows) {
    if (row.cost_nano_usd !== String(costOf(row)))
      report(
        run,
        'cost',
        `${row.correlation_id} cost ${row.cost_nano_usd}, not ${costOf(row)}, nano-dollars`,
      );
  }
}

function judgeCall(
  run: CrashRun,
  known: KnownCall,
  rows: readonly LedgerRow[],
  sent: readonly JournalCall[],
): void {
  const { correlationId, kind, finished } = known;
  const usages = sent.filter((call) => call.usage !== null).map((call) => canonical(call.usage));
  const recorded = rows.filter((row) => row.status === 'ok').map((row) => canonical(row.raw_usage));
  const told = `${kind} ${correlationId} (round ${known.round})`;
  if (finished) {
    if (usages.sort().join() !== recorded.sort().join())
      report(run, 'ledger', `${told} was finished; rows ${recorded.join() || 'none'}, sent ${usages.join()}`);
    if (kind !== 'question' && (rows.length !== 1 || sent.length !== 1))
      report(run, 'ledger', `${told} was finished and has ${rows.length} rows for ${sent.length} calls`);
  } else {
    if (rows.length > sent.length)
      report(run, 'ledger', `${told} was not finished and has ${rows.length} rows for ${sent.length} calls`);
    for (const usage of recorded)
      if (!usages.includes(usage)) report(run, 'ledger', `${told} has usage that was not sent: ${usage}`);
  }
}

/** What the API says a tenant spent is what its rows add up to; and nobody's row is of a tenant that is not there. */
export async function checkTotals(run: CrashRun, client: pg.Client, url: string): Promise<void> {
  const dayMs = 86_400_000;
  const day = (offset: number) => new Date(Date.now() + offset * dayMs).toISOString();
  const { rows } = await client.query<{ tenant: string; nano: string; calls: string; unpriced: string }>(
    `select t.slug as tenant, coalesce(sum(l.cost_nano_usd), 0) as nano, count(l.id) as calls,
       count(l.id) filter (where l.pricing_state = 'unpriced') as unpriced
     from tenants t left join ledger l on l.tenant_id = t.id group by t.slug`,
  );
  for (const { tenant, nano, calls, unpriced } of rows) {
    const headers = { 'x-tenant-id': tenant };
    const path = `/api/v1/costs/summary?from=${day(-2)}&to=${day(1)}`;
    const { json } = await answered(run, () => call(url, testAdminKey, 'GET', path, undefined, headers));
    if (json.total_cost_usd !== usd(BigInt(nano)) || String(json.calls) !== calls)
      report(
        run,
        'cost',
        `${tenant}: the API says ${json.total_cost_usd} for ${json.calls} calls, the rows ${usd(BigInt(nano))} for ${calls}`,
      );
    if (unpriced !== '0') report(run, 'cost', `${tenant}: ${unpriced} calls have no price`);
  }
}

function costOf(row: LedgerRow): bigint {
  const price = prices[row.model];
  if (!price) return -1n;
  const cached = BigInt(row.cached_read_tokens);
  return (
    (BigInt(row.input_tokens) - cached) * price.input +
    cached * price.cached +
    BigInt(row.output_tokens) * price.output
  );
}

function usd(nano: bigint): string {
  return `${nano / 1_000_000_000n}.${String(nano % 1_000_000_000n).padStart(9, '0')}`;
}

function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${name}:${canonical(member)}`).join()}}`;
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}
