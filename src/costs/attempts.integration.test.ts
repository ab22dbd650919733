import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
import { createLedgerStore } from './ledger.store.ts';
import { createPriceCatalogue } from './price-catalogue.ts';
import { encodeSpoolLine } from './spool-line.ts';
import { noUsage } from './usage.ts';

const newId = createIds(systemClock, systemRandom);
const acme = { tenantId: newId(), readerTokens: [] };
const mini = { provider: { name: 'sim', baseUrl: 'http://127.0.0.1:1/v1' }, model: 'gpt-4o-mini' };
const everything = { limit: 10, after: null, correlationId: null, earlierAttempts: true };
const callsOnly = { ...everything, earlierAttempts: false };
const thisMonth = { from: undefined, to: undefined };

let test: TestDatabase;
let dataDir: string;
let costs: Costs;

beforeAll(async () => {
  test = await createTestDatabase();
  await addTenant(test.database, acme.tenantId, 'acme');
});
afterAll(() => test.drop());
beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-attempts-'));
  await sql`delete from ledger`.execute(test.database.platform);
});
afterEach(async () => {
  await costs.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

function start(): void {
  costs = createCosts({
    store: createLedgerStore(test.database),
    catalogue: createPriceCatalogue(),
    clock: systemClock,
    newId,
    metrics: createMetrics(),
    log: createLog('silent'),
    dataDir,
  });
  costs.start();
}

const ended = ({ callId, ...overrides }: Partial<EndedCall> & Pick<EndedCall, 'callId'>) =>
  endedCall({ id: callId, tenantId: acme.tenantId }, { rawUsage: null, responseModel: null, ...overrides });

describe('the attempts of a call', () => {
  it('are rows that sums add and counts of calls do not', async () => {
    start();
    const callId = newId();
    const failed = { final: false, status: 'timeout', errorCode: 'upstream_timeout' } as const;
    const estimated = { estimated: true, usage: { ...noUsage, inputTokens: 1_000 } };
    costs.record(ended({ callId, id: newId(), attempt: 1, attempts: 1, ...failed, ...estimated }), mini);
    const refused = { final: false, status: 'error', errorCode: 'upstream_503', usage: noUsage } as const;
    costs.record(ended({ callId, id: newId(), attempt: 2, attempts: 2, ...refused }), mini);
    costs.record(ended({ callId, attempt: 3, attempts: 3 }), mini);
    expect(await costs.summary(acme, thisMonth)).toMatchObject({
      calls: 1n,
      cost_nano_usd: 306_000n,
      input_tokens: 2_000n,
      earlier_attempts: 2n,
      earlier_cost_nano_usd: 150_000n,
    });
    const shown = await costs.calls(acme, callsOnly);
    expect(shown).toMatchObject([{ id: callId, call_id: callId, attempt: 3, final: true }]);
    const all = await costs.calls(acme, everything);
    expect(all.map((row) => [row.call_id, row.attempt, row.final]).sort()).toEqual([
      [callId, 1, false],
      [callId, 2, false],
      [callId, 3, true],
    ]);
  });

  it('of a model without a price leave the call one unpriced call', async () => {
    start();
    const callId = newId();
    const unknown = { ...mini, model: 'no-such-model' };
    costs.record(ended({ callId, id: newId(), final: false, model: unknown.model }), unknown);
    costs.record(ended({ callId, attempt: 2, attempts: 2, model: unknown.model }), unknown);
    expect(await costs.summary(acme, thisMonth)).toMatchObject({
      calls: 1n,
      unpriced_calls: 1n,
      unpriced_tokens: 2_020n,
    });
  });

  it('name the call that they belong to, and no other row but theirs', async () => {
    start();
    const insert = (id: string, callId: string | null) =>
      sql`insert into ledger (id, tenant_id, at, correlation_id, key_id, operation, dialect, provider, model, tier,
          status, streamed, estimated, input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
          output_tokens, reasoning_tokens, image_tokens, audio_tokens, pricing_state, price_version, attempts,
          duration_ms, final, call_id)
        values (${id}, ${acme.tenantId}, now(), 'c', 'k', 'chat', 'd', 'p', 'm', 't', 'ok', false, false,
          0, 0, 0, 0, 0, 0, 0, 0, 'unpriced', 'v', 1, 1, false, ${callId})`.execute(test.database.platform);
    const id = newId();
    await expect(insert(id, null)).rejects.toThrow('attempt_names_its_call');
    await expect(insert(id, id)).rejects.toThrow('attempt_names_its_call');
  });
});

describe('what is free', () => {
  it('is an answer from the cache, which says what it saved', async () => {
    start();
    const callId = newId();
    const charge = costs.record(
      ended({ callId, attempt: 0, attempts: 0, tier: 'cached', usage: noUsage, savedNanoUsd: 156_000n }),
      null,
    );
    expect(charge).toMatchObject({ costNanoUsd: 0n, pricing: 'priced' });
    costs.record(ended({ callId: newId() }), mini);
    expect(await costs.summary(acme, thisMonth)).toMatchObject({
      calls: 2n,
      cached_calls: 1n,
      saved_nano_usd: 156_000n,
      cost_nano_usd: 156_000n,
      unpriced_calls: 0n,
      input_tokens: 1_000n,
    });
    const [cached] = (await costs.calls(acme, callsOnly)).filter((row) => row.id === callId);
    expect(cached).toMatchObject({
      pricing_state: 'free',
      price_id: null,
      cost_nano_usd: 0n,
      saved_nano_usd: 156_000n,
      attempts: 0,
    });
  });

  it('is a count of tokens, whatever its model costs', async () => {
    start();
    const callId = newId();
    costs.record(ended({ callId, operation: 'count_tokens', usage: noUsage }), mini);
    expect(await costs.calls(acme, callsOnly)).toMatchObject([
      { id: callId, operation: 'count_tokens', pricing_state: 'free', cost_nano_usd: 0n },
    ]);
  });
});

describe('rows of the version before', () => {
  /** A line as that version wrote it, which knew nothing of attempts. */
  const oldRow = (id: string) => ({
    ...{ id, at: new Date().toISOString(), tenant_id: acme.tenantId, correlation_id: 'old', key_id: 'key-1' },
    ...{ user_id: null, operation: 'chat', dialect: 'openai-chat', route: 'fast', provider: 'sim' },
    ...{ model: 'no-such-model', response_model: null, tier: 'secondary', status: 'ok', error_code: null },
    ...{ streamed: false, estimated: false, input_tokens: 7, cached_read_tokens: 0 },
    ...{ cache_write_5m_tokens: 0, cache_write_1h_tokens: 0, output_tokens: 3, reasoning_tokens: 0 },
    ...{ image_tokens: 0, audio_tokens: 0, pricing_state: 'unpriced', price_version: 'genai-prices-0.1.8' },
    ...{ price_id: null, cost_nano_usd: null, attempts: 2, duration_ms: 5, first_token_ms: null },
    ...{ raw_usage: null, price: null },
  });

  it('on disk are replayed as what they were', async () => {
    const id = newId();
    mkdirSync(join(dataDir, 'spool'));
    writeFileSync(
      join(dataDir, 'spool', 'earlier.000000001.jsonl'),
      encodeSpoolLine(JSON.stringify(oldRow(id))),
    );
    start();
    expect(await costs.calls(acme, callsOnly)).toMatchObject([
      { id, call_id: id, attempt: 2, attempts: 2, final: true, saved_nano_usd: null },
    ]);
  });

  it('in the database, written before the columns were there, stand for themselves', async () => {
    const id = newId();
    const { price: _price, ...row } = oldRow(id);
    const columns = sql.raw(Object.keys(row).join(', '));
    await sql`insert into ledger (${columns})
      select ${columns} from jsonb_populate_record(null::ledger, ${JSON.stringify(row)}::jsonb)`.execute(
      test.database.platform,
    );
    start();
    expect(await costs.calls(acme, callsOnly)).toMatchObject([{ id, call_id: id, attempt: 2, final: true }]);
    expect(await costs.summary(acme, thisMonth)).toMatchObject({ calls: 1n, earlier_attempts: 0n });
  });
});
