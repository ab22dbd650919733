import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';

/*
 * What the application role can do with SQL of its own, whoever writes it: no table that it may touch shows, takes or loses a
 * row of another tenant's, and no function that it may call goes past that.
 */
let test: TestDatabase;
let owner: pg.Client;
const [own, other] = [randomUUID(), randomUUID()];

beforeAll(async () => {
  test = await createTestDatabase();
  owner = new pg.Client({ connectionString: test.url });
  await owner.connect();
  for (const [id, slug] of [
    [own, 'own'],
    [other, 'other'],
  ]) {
    await owner.query(
      `insert into tenants (id, slug, name, tier, region, created_at, updated_at)
       values ($1, $2, $2, 'free', 'eu', now(), now())`,
      [id, slug],
    );
  }
});
afterAll(async () => {
  await owner.end();
  await test.drop();
});

type Privilege = 'select' | 'insert' | 'update' | 'delete';

/** Tables that the application role may touch in this way, and that are a tenant's. */
async function touchable(privilege: Privilege): Promise<string[]> {
  const { rows } = await owner.query<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'public' and c.relkind in ('r', 'p') and has_table_privilege('gatehouse_app', c.oid, $1)
       and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
     order by 1`,
    [privilege],
  );
  return rows.map(({ name }) => name);
}

/** As the application role, for a tenant or for none; nothing of it stays. */
async function asApplication<T>(tenant: string, work: () => Promise<T>): Promise<T> {
  await owner.query('begin');
  try {
    await owner.query('set local role gatehouse_app');
    await owner.query(
      `select set_config('gatehouse.tenant_id', $1, true), set_config('gatehouse.reader_tokens', '["all:documents"]', true)`,
      [tenant],
    );
    return await work();
  } finally {
    await owner.query('rollback');
  }
}

const rowSecurityViolation = '42501';
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: { code?: string }) => error.code,
  );

describe('the application role', () => {
  it('holds no privilege on anything but rows: it truncates nothing, refers to nothing, puts triggers on nothing', async () => {
    const { rows } = await owner.query(`
      select c.relname as name, p.privilege from pg_class c join pg_namespace n on n.oid = c.relnamespace,
        unnest(array['truncate', 'references', 'trigger']) as p (privilege)
      where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm')
        and has_table_privilege('gatehouse_app', c.oid, p.privilege)`);
    expect(rows).toEqual([]);
  });

  it('reads, changes and deletes no row of another tenant’s, and none at all without a tenant', async () => {
    // Rows stand in the tables that can have one without others; the policies are the same for all of them.
    for (const [tenant, name] of [
      [own, 'mine'],
      [other, 'theirs'],
    ]) {
      await owner.query(
        `insert into custom_roles (id, tenant_id, name, permissions, created_by, created_at, updated_at)
         values ($1, $2, $3, '{}', 'test', now(), now())`,
        [randomUUID(), tenant, name],
      );
      await owner.query(
        `insert into masking_rules (tenant_id, field, created_by, created_at, updated_at)
         values ($1, $2, 'test', now(), now())`,
        [tenant, name],
      );
    }
    const seen: Record<string, number> = {};
    for (const tenant of [own, '']) {
      for (const table of await touchable('select')) {
        const rows = await asApplication(tenant, () =>
          owner.query(`select tenant_id from ${table} where tenant_id is distinct from $1`, [tenant || null]),
        );
        expect({ table, tenant, rows: rows.rows }).toEqual({ table, tenant, rows: [] });
      }
      for (const table of await touchable('delete')) {
        const { rowCount } = await asApplication(tenant, () =>
          owner.query(`delete from ${table} where tenant_id is distinct from $1`, [tenant || null]),
        );
        expect({ table, tenant, rowCount }).toEqual({ table, tenant, rowCount: 0 });
        seen[table] = (seen[table] ?? 0) + 1;
      }
    }
    expect(seen).toMatchObject({ custom_roles: 2, masking_rules: 2 });
    const left = await owner.query('select count(*)::int as roles from custom_roles');
    expect(left.rows).toEqual([{ roles: 2 }]);
  });

  it('puts no row into another tenant, and moves none there', async () => {
    for (const [table, columns, values] of [
      [
        'custom_roles',
        'id, tenant_id, name, permissions, created_by, created_at, updated_at',
        `gen_random_uuid(), $1, 'planted', '{}', 'x', now(), now()`,
      ],
      [
        'masking_rules',
        'tenant_id, field, created_by, created_at, updated_at',
        `$1, 'planted', 'x', now(), now()`,
      ],
    ]) {
      const code = await asApplication(own, () =>
        codeOf(owner.query(`insert into ${table} (${columns}) values (${values})`, [other])),
      );
      expect({ table, code }).toEqual({ table, code: rowSecurityViolation });
    }
    const moved = await asApplication(own, () =>
      codeOf(owner.query('update custom_roles set tenant_id = $1', [other])),
    );
    expect(moved).toBe(rowSecurityViolation);
  });

  it('is bound in every table by policies that check what is written as well as what is read', async () => {
    const { rows } = await owner.query<{ name: string }>(`
      select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relrowsecurity
        and (has_table_privilege('gatehouse_app', c.oid, 'insert') or has_table_privilege('gatehouse_app', c.oid, 'update'))
        and not exists (select from pg_policies p where p.tablename = c.relname and p.permissive = 'PERMISSIVE'
          and 'gatehouse_app' = any (p.roles) and p.with_check like '%current_tenant()%')`);
    expect(rows).toEqual([]);
  });

  it('calls no function that runs with its owner’s rights, but those that are known to bound themselves', async () => {
    const { rows } = await owner.query<{ name: string }>(`
      select p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'public' and p.prosecdef and p.prorettype <> 'trigger'::regtype
        and has_function_privilege('gatehouse_app', p.oid, 'execute') order by 1`);
    expect(rows.map(({ name }) => name)).toEqual([]);
  });

  it('would be found to reach a function or a table that a migration forgot to close', async () => {
    await owner.query('begin');
    try {
      await owner.query(
        `create function open_door() returns bigint language sql security definer return (select count(*) from tenants)`,
      );
      const { rows } = await owner.query(`
        select p.proname as name from pg_proc p where p.prosecdef and p.proname = 'open_door'
          and has_function_privilege('gatehouse_app', p.oid, 'execute')`);
      expect(rows).toEqual([{ name: 'open_door' }]);
      await owner.query('create table open_table (id int, tenant_id uuid)');
      await owner.query('grant select on open_table to gatehouse_app');
      expect(await touchable('select')).toContain('open_table');
    } finally {
      await owner.query('rollback');
    }
  });
});
