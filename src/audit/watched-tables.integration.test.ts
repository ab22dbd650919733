import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { systemClock } from '../platform/clock.ts';
import { createIds } from '../platform/ids.ts';
import { systemRandom } from '../platform/random.ts';
import { createAuditStore } from './audit.store.ts';

/** Tables whose rows are nobody's deeds, each with the reason. All others are watched. */
const exempt: Readonly<Record<string, string>> = {
  audit_entries: 'the log itself',
  audit_leaves: 'places in the log',
  audit_nodes: 'hashes of the log',
  audit_heads: 'signatures of the log',
  audit_logs: 'sizes of the log',
  audit_forwarded: 'how far the log was forwarded',
  audit_horizon: 'how far the log has its places',
  gatehouse_migrations: 'by the migrations',
  platform_settings: 'facts about the installation',
  instances: 'who lives',
  key_holders: 'which instance has which keys',
  idempotency_keys: 'replies to requests; what those changed is watched',
  index_places: 'who has an index',
  health_history: 'samples',
  model_prices: 'copies of the catalogue, added with ledger rows',
  invoiced_adjustments: 'written with invoices, which are watched',
  ledger: 'every row is written once, says itself who called, and there are millions',
  chunks: 'made from a document, which is watched',
  document_texts: 'made from a document, which is watched',
  loose_blobs: 'files on their way',
  index_changes: 'what the index is still to be told',
  index_generations: 'made from documents',
  index_vectors_missing: 'made from documents',
  knowledge_versions: 'a counter',
  deletion_receipts: 'written beside the deletion of a document, which is watched',
  cost_rollups: 'sums of the ledger',
  cost_rollup_horizon: 'how far the sums of the ledger have come',
  cost_alert_checks: 'what a job is still to look at',
  notification_events: 'told by jobs; what they tell of is watched',
  notification_deliveries: 'attempts, by jobs',
  sign_ins_under_way: 'nobody has signed in yet; how it ends is noted',
  sign_in_tries: 'counters; refused sign-ins are noted',
  mail_due: 'mail on its way; what it is about, and the links in it, are watched',
  known_networks: 'where users signed in from, which is noted with each sign-in',
  refresh_tokens: 'each follows from the one before; their families are watched',
};

let test: TestDatabase;
beforeAll(async () => {
  test = await createTestDatabase();
});
afterAll(() => test.drop());

async function unwatched(): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p')
      and not exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'audited' and t.tgenabled = 'O')
    order by 1`.execute(test.database.platform);
  return rows.map(({ name }) => name);
}

describe('every table', () => {
  it('is watched by the audit log, or exempt for a reason', async () => {
    expect(await unwatched()).toEqual(Object.keys(exempt).sort());
  });

  it('would be missed if a migration forgot it', async () => {
    await sql`create table forgetful (id int)`.execute(test.database.platform);
    expect(await unwatched()).toContain('forgetful');
    await sql`drop table forgetful`.execute(test.database.platform);
  });
});

/** Columns of watched tables that are called like secrets and are none, each with what they are. */
const openColumns: Readonly<Record<string, string>> = {
  'audit_destinations.secret_reference': 'where it is kept, and not what it is',
  'data_keys.wrapped_at': 'a time',
  'documents.content_hash': 'of what its readers may read',
  'identity_providers.client_secret_reference': 'where it is kept, and not what it is',
};

describe('what of a watched table is secret', () => {
  it('is told by nothing but that it is set', async () => {
    const { rows } = await sql<{ name: string; columns: string[]; given: string }>`
      select c.relname as name, encode(t.tgargs, 'hex') as given, array_agg(a.attname::text order by a.attnum) as columns
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where t.tgname = 'audited' group by 1, 2`.execute(test.database.platform);
    const suspicious = rows.flatMap(({ name, columns, given }) => {
      const secrets = Buffer.from(given, 'hex').toString().split('\0')[2]?.split(',') ?? [];
      return columns
        .filter((column) => /hash|sha256|sealed|secret|wrapped|private|password|token$/.test(column))
        .filter((column) => !secrets.includes(column))
        .map((column) => `${name}.${column}`);
    });
    expect(suspicious.sort()).toEqual(Object.keys(openColumns).sort());
  });
});

describe('a change of a watched table', () => {
  const newId = createIds(systemClock, systemRandom);
  const tenantId = newId();
  const scope = { tenantId, readerTokens: [] };
  const entries = async () =>
    (await createAuditStore(test.database).page(scope, {}, { limit: 50, after: null })).map(
      ({ entry }) => JSON.parse(entry) as Record<string, unknown>,
    );

  it('becomes an entry that tells what was before and after, without secrets', async () => {
    await sql`insert into tenants (id, slug, name, tier, region, created_at, updated_at)
      values (${tenantId}, 'acme', 'Acme', 'free', 'eu', now(), now())`.execute(test.database.platform);
    await sql`update tenants set tier = 'starter', updated_at = now() where id = ${tenantId}`.execute(
      test.database.platform,
    );
    await sql`update tenants set updated_at = now() where id = ${tenantId}`.execute(test.database.platform);
    await sql`insert into api_keys (id, tenant_id, name, key_hash, role, created_by, created_at)
      values ('k1', ${tenantId}, 'first', '\\x0123456789'::bytea, 'viewer', 'test', now())`.execute(
      test.database.platform,
    );
    await sql`update api_keys set last_used_at = now() where id = 'k1'`.execute(test.database.platform);
    const all = await entries();
    expect(all.map(({ action }) => action)).toEqual(['api_key.created', 'tenant.changed', 'tenant.created']);
    expect(all[1]).toMatchObject({
      version: 1,
      tenant_id: tenantId,
      actor: { kind: 'platform' },
      target: { type: 'tenant', id: tenantId },
      before: { tier: 'free' },
      after: { tier: 'starter' },
      outcome: 'done',
    });
    expect(all[0]).toMatchObject({ target: { type: 'api_key', id: 'k1' }, after: { key_hash: '[secret]' } });
    expect(JSON.stringify(all)).not.toContain('0123456789');
  });

  it('does not happen when its entry cannot be written', async () => {
    await sql`alter table audit_entries add constraint planted check (action <> 'tenant.changed') not valid`.execute(
      test.database.platform,
    );
    await expect(
      sql`update tenants set name = 'Other' where id = ${tenantId}`.execute(test.database.platform),
    ).rejects.toMatchObject({ code: '23514' });
    const { rows } = await sql`select name from tenants where id = ${tenantId}`.execute(
      test.database.platform,
    );
    expect(rows).toEqual([{ name: 'Acme' }]);
  });
});
