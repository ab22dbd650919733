import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAccessInstance } from '../../../test/harness/access-instance.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import type { Permission, Principal } from '../index.ts';

let test: TestDatabase;

let here: Awaited<ReturnType<typeof startAccessInstance>>;
let there: Awaited<ReturnType<typeof startAccessInstance>>;
let admin: Principal;
let stranger: Principal;

const plain = { groups: [], scopes: [], userId: null, expiresAt: null };
const role = (name: string, permissions: Permission[]) => ({ name, description: '', permissions });

async function holderOf(slug: string, roleName: string, scopes: string[] = []): Promise<Principal> {
  const tenant =
    here.access.tenant(slug) ??
    here.access.tenant(
      (await here.access.createTenant({ name: slug, slug, tier: 'starter', region: 'eu' })).slug,
    );
  if (!tenant) throw new Error('the tenant is not known');
  const { key } = await here.access.createKeyAsPlatform(tenant, {
    ...plain,
    name: roleName,
    role: roleName,
    scopes,
  });
  return here.access.authenticate(key, undefined);
}

beforeAll(async () => {
  test = await createTestDatabase();
  here = await startAccessInstance(test);
  there = await startAccessInstance(test);
  admin = await holderOf('acme', 'admin');
  stranger = await holderOf('other', 'admin');
});
afterAll(async () => {
  await here.stop();
  await there.stop();
  await test.drop();
});

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: { code?: string }) => error.code,
  );

describe('a role of a tenant’s own', () => {
  it('is what its holders may do, and a change of it holds for them on every instance', async () => {
    await here.access.roles.add(admin, role('editor', ['documents:read', 'documents:write', 'queries:run']));
    const made = await here.access.createKey(admin, {
      ...plain,
      name: 'e',
      role: 'editor',
      scopes: ['documents:*'],
    });
    const editor = await here.access.authenticate(made.key, undefined);
    expect([...editor.permissions]).toEqual(['documents:read', 'documents:write']);
    expect(editor.readerTokens).toEqual(['role:editor', `user:${editor.keyId}`]);
    await there.access.authenticate(made.key, undefined);

    await here.access.roles.change(admin, 'editor', { permissions: ['documents:read'] });
    expect([...(await here.access.authenticate(made.key, undefined)).permissions]).toEqual([
      'documents:read',
    ]);
    await expect
      .poll(async () => [...(await there.access.authenticate(made.key, undefined)).permissions])
      .toEqual(['documents:read']);
  });

  it('is not there for another tenant: not to see, to hold, to change or to delete', async () => {
    await here.access.roles.add(admin, role('secretive', ['health:read']));
    expect(await codeOf(here.access.roles.byName(stranger, 'secretive'))).toBe('not_found');
    expect(await codeOf(here.access.roles.change(stranger, 'secretive', { description: 'x' }))).toBe(
      'not_found',
    );
    expect(await codeOf(here.access.roles.remove(stranger, 'secretive'))).toBe('not_found');
    expect(await here.access.roles.page(stranger, { limit: 50, after: null })).toEqual([]);
    expect(await codeOf(here.access.createKey(stranger, { ...plain, name: 'k', role: 'secretive' }))).toBe(
      'invalid',
    );
    // The same name is another role there.
    await here.access.roles.add(stranger, role('secretive', ['models:list']));
    expect((await here.access.roles.byName(stranger, 'secretive')).permissions).toEqual(['models:list']);
    expect((await here.access.roles.byName(admin, 'secretive')).permissions).toEqual(['health:read']);
  });

  it('is not deleted while a key holds it, and is when the key was revoked', async () => {
    await here.access.roles.add(admin, role('passing', ['health:read']));
    const { row } = await here.access.createKey(admin, { ...plain, name: 'p', role: 'passing' });
    expect(await codeOf(here.access.roles.remove(admin, 'passing'))).toBe('conflict');
    await here.access.revokeKey(admin, row.id);
    await here.access.roles.remove(admin, 'passing');
    expect(await codeOf(here.access.roles.byName(admin, 'passing'))).toBe('not_found');
    expect(await codeOf(here.access.createKey(admin, { ...plain, name: 'p', role: 'passing' }))).toBe(
      'invalid',
    );
  });

  it('given and deleted at once, is either given or deleted', async () => {
    for (let round = 0; round < 20; round++) {
      const name = `racing-${round}`;
      await here.access.roles.add(admin, role(name, ['health:read']));
      const [given, deleted] = await Promise.all([
        codeOf(here.access.createKey(admin, { ...plain, name, role: name })),
        codeOf(there.access.roles.remove(admin, name)),
      ]);
      expect([
        ['done', 'conflict'],
        ['invalid', 'done'],
      ]).toContainEqual([given, deleted]);
      const { rows } = await sql<{ left: boolean }>`
        select exists (select from custom_roles where name = ${name}) as left`.execute(
        test.database.platform,
      );
      expect(rows[0]?.left).toBe(given === 'done');
    }
  });

  it('holds no more than its maker, however it came by it', async () => {
    const narrow = await holderOf('acme', 'admin', ['roles:manage', 'health:read']);
    expect(await codeOf(here.access.roles.add(narrow, role('wide', ['health:read', 'keys:manage'])))).toBe(
      'forbidden',
    );
    await here.access.roles.add(narrow, role('slim', ['health:read']));
    expect(await codeOf(here.access.roles.change(narrow, 'slim', { permissions: ['audit:read'] }))).toBe(
      'forbidden',
    );
    await here.access.roles.add(admin, role('rich', ['audit:read']));
    expect(await codeOf(here.access.roles.change(narrow, 'rich', { permissions: ['health:read'] }))).toBe(
      'forbidden',
    );
    expect(await codeOf(here.access.roles.add(admin, role('landlord', ['tenants:manage'])))).toBe('invalid');
  });

  it('never takes the place of a built-in one', async () => {
    expect(await codeOf(here.access.roles.add(admin, role('admin', ['health:read'])))).toBe('conflict');
    expect(await codeOf(here.access.roles.change(admin, 'viewer', { permissions: ['keys:manage'] }))).toBe(
      'conflict',
    );
    expect(await codeOf(here.access.roles.remove(admin, 'owner'))).toBe('conflict');
    await here.access.roles.add(admin, role('twice', ['health:read']));
    expect(await codeOf(here.access.roles.add(admin, role('twice', ['health:read'])))).toBe('conflict');
  });

  it('is in the audit log with what it held before and after', async () => {
    await here.access.roles.add(admin, role('watched', ['health:read']));
    await here.access.roles.change(admin, 'watched', { permissions: ['models:list'] });
    const { rows } = await sql<{ action: string; entry: string }>`
      select action, entry from audit_entries where target_type = 'role' and entry like '%watched%'
        or action = 'role.changed' and entry like '%models:list%' order by at`.execute(
      test.database.platform,
    );
    expect(rows.map(({ action }) => action)).toEqual(['role.created', 'role.changed']);
    expect(rows[1]?.entry).toContain('health:read');
  });
});
