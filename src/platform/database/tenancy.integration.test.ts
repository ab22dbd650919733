import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';

let test: TestDatabase;
let owner: pg.Client;

beforeAll(async () => {
  test = await createTestDatabase();
  owner = new pg.Client({ connectionString: test.url });
  await owner.connect();
});
afterAll(async () => {
  await owner.end();
  await test.drop();
});

/** Tables of ours that belong to tenants and are not behind forced row-level security with a tenant policy. */
async function unprotectedTables(): Promise<string[]> {
  const { rows } = await owner.query<{ name: string }>(`
    select c.relname as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p')
      and (exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
           or c.relname = 'tenants')
      and not (c.relrowsecurity and c.relforcerowsecurity and exists (
        select from pg_policies p where p.tablename = c.relname and 'gatehouse_app' = any (p.roles)
          and p.qual like '%current_tenant()%'))
    order by 1`);
  return rows.map((row) => row.name);
}

describe('tenancy in the database', () => {
  it('every table of a tenant is behind forced row-level security', async () => {
    expect(await unprotectedTables()).toEqual([]);
  });

  it('would notice a migration that forgot it', async () => {
    await owner.query('begin');
    try {
      await owner.query('create table forgetful (id int, tenant_id uuid not null)');
      expect(await unprotectedTables()).toEqual(['forgetful']);
    } finally {
      await owner.query('rollback');
    }
  });

  it('every other table the application may touch is known to hold nothing of a tenant', async () => {
    const { rows } = await owner.query<{ name: string }>(`
      select distinct c.relname as name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%'
        and c.relkind in ('r', 'p', 'v', 'm') and not c.relrowsecurity
        and has_table_privilege('gatehouse_app', c.oid, 'select, insert, update, delete')
      order by 1`);
    expect(rows.map((row) => row.name)).toEqual(['cost_rollup_horizon', 'model_prices']);
  });

  it('the application role owns nothing, is nobody special and cannot bypass row-level security', async () => {
    const { rows } = await owner.query(`
      select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin,
        (select count(*)::int from pg_class where relowner = r.oid) as owned
      from pg_roles r where rolname = 'gatehouse_app'`);
    expect(rows).toEqual([
      {
        rolsuper: false,
        rolbypassrls: false,
        rolcreaterole: false,
        rolcreatedb: false,
        rolcanlogin: false,
        owned: 0,
      },
    ]);
  });

  it('without a tenant set the application role sees no row of any tenant table', async () => {
    await owner.query(`insert into tenants (id, slug, name, tier, region, created_at, updated_at)
      values ('00000000-0000-7000-8000-000000000001', 'one', 'One', 'free', 'eu', now(), now())`);
    const { rows: tables } = await owner.query<{ name: string }>(`
      select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'public' and c.relkind = 'r' and c.relrowsecurity
        and has_table_privilege('gatehouse_app', c.oid, 'select')`);
    expect(tables.length).toBeGreaterThan(5);
    await owner.query('set role gatehouse_app');
    try {
      for (const { name } of tables) {
        const { rows } = await owner.query(`select count(*)::int as seen from ${name}`);
        expect({ name, seen: rows[0]?.seen }).toEqual({ name, seen: 0 });
      }
    } finally {
      await owner.query('reset role');
    }
  });

  it('a transaction leaves nothing of its tenant behind for the next on the same connection', async () => {
    const scope = { tenantId: '00000000-0000-7000-8000-000000000001', readerTokens: [] };
    const inside = await test.database.inTenant(scope, (tx) =>
      tx.withTables<{ tenants: { id: string } }>().selectFrom('tenants').select('id').execute(),
    );
    expect(inside).toEqual([{ id: scope.tenantId }]);
    const { rows } = await owner.query(`select current_setting('gatehouse.tenant_id', true) as tenant`);
    expect(rows[0]?.tenant ?? '').toBe('');
  });
});
