import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asksForNoGroup, attributes, condition, metadata } from '../../../test/harness/conditions.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { roles } from '../permissions.ts';
import { readCondition } from './condition.ts';
import { compileCondition } from './condition-path.ts';
import { type DocumentFacts, documentAbility } from './document-ability.ts';

/*
 * What PostgreSQL lets a reader see under a condition, by the policy on documents and nothing else, is what the library
 * decides in memory: for made-up conditions, readers and documents, whatever stands in them.
 */
let test: TestDatabase;
let owner: pg.Client;
const tenant = randomUUID();
const user = randomUUID();
const documents: { id: string; facts: DocumentFacts }[] = [];

beforeAll(async () => {
  test = await createTestDatabase();
  owner = new pg.Client({ connectionString: test.url });
  await owner.connect();
  await owner.query(
    `insert into tenants (id, slug, name, tier, region, created_at, updated_at) values ($1, 'one', 'One', 'free', 'eu', now(), now())`,
    [tenant],
  );
  await owner.query(
    `insert into users (id, tenant_id, email, role, created_at, updated_at) values ($1, $2, 'reader@example.com', 'viewer', now(), now())`,
    [user, tenant],
  );
  await owner.query(
    `insert into custom_roles (id, tenant_id, name, permissions, created_by, created_at, updated_at)
     values ($1, $2, 'clerk', '{}', 'user:test', now(), now())`,
    [randomUUID(), tenant],
  );
  const owners = [`user:${user}`, 'user:somebody'];
  const times = ['2016-01-01T00:00:00.000Z', new Date().toISOString(), '2099-12-31T23:59:59.999Z'];
  for (const [place, said] of fc.sample(metadata, { numRuns: 120, seed: 7 }).entries()) {
    const facts = {
      owner: owners[place % 2] ?? '',
      created_at: times[place % 3] ?? '',
      metadata: JSON.parse(JSON.stringify(said)),
    };
    const id = randomUUID();
    await owner.query(
      `insert into documents (id, tenant_id, title, status, version, searchable_version, bytes, content_hash, blob_key,
         metadata, created_by, created_at, updated_at)
       values ($1, $2, 'A title', 'ready', 1, 1, 1, '\\x00', $3, $4, $5, $6, now())`,
      [id, tenant, `blob/${id}`, JSON.stringify(said), facts.owner, facts.created_at],
    );
    documents.push({ id, facts });
  }
});
afterAll(async () => {
  await owner.end();
  await test.drop();
});

async function setCondition(given: object | null): Promise<void> {
  const compiled = given && compileCondition(readCondition(given, 'condition'));
  await owner.query(
    'update custom_roles set document_condition = $1, document_path = $2, document_times = $3',
    [given && JSON.stringify(given), compiled?.path ?? null, compiled?.times ?? []],
  );
}

/** As the application role, the way the server enters it, with SQL of nobody's in particular. Nothing of it stays. */
async function asReader<Row extends pg.QueryResultRow>(
  tokens: readonly string[],
  statement: string,
): Promise<Row[]> {
  await owner.query('begin');
  try {
    await owner.query('set local role gatehouse_app');
    await owner.query(
      `select set_config('gatehouse.tenant_id', $1, true), set_config('gatehouse.reader_tokens', $2, true)`,
      [tenant, JSON.stringify(tokens)],
    );
    return (await owner.query<Row>(statement)).rows;
  } finally {
    await owner.query('rollback');
  }
}

/** Ids of the documents that there are for somebody, and the time at which that was so. */
async function seen(tokens: readonly string[]): Promise<{ ids: string[]; nowMs: number }> {
  const rows = await asReader<{ id: string | null; now: string }>(
    tokens,
    `select d.id, floor(extract(epoch from now()) * 1000) as now from (select) once left join documents d on true order by d.id`,
  );
  return { ids: rows.flatMap(({ id }) => id ?? []), nowMs: Number(rows[0]?.now) };
}

const tokens = ['role:clerk', 'group:eu', 'group:naïve', `user:session:1`, `user:${user}`];
const known = { id: `user:${user}`, role: 'clerk', groups: ['eu', 'naïve'] };

describe('conditions', () => {
  it('decide in the database what they decide in memory', async () => {
    const tally = { seen: 0, hidden: 0, some: 0 };
    await fc.assert(
      fc.asyncProperty(condition, attributes, async (given, held) => {
        fc.pre(!asksForNoGroup(given));
        await setCondition(given);
        await owner.query('update users set attributes = $1', [JSON.stringify(held)]);
        const { ids, nowMs } = await seen(tokens);
        const ability = documentAbility(readCondition(given, 'condition'));
        const reader = { ...JSON.parse(JSON.stringify(held)), ...known };
        const expected = documents.filter(({ facts }) =>
          ability.can('read', { document: facts, reader, nowMs }),
        );
        expect(ids).toEqual(expected.map(({ id }) => id).sort());
        tally.seen += ids.length;
        tally.hidden += documents.length - ids.length;
        if (ids.length > 0 && ids.length < documents.length) tally.some++;
      }),
      { numRuns: 500 },
    );
    // Neither side says the same of everything.
    expect(tally.seen).toBeGreaterThan(2_000);
    expect(tally.hidden).toBeGreaterThan(2_000);
    expect(tally.some).toBeGreaterThan(100);
  });

  const all = () => documents.map(({ id }) => id).sort();
  const none: string[] = [];
  const idsOf = async (held: readonly string[]) => (await seen(held)).ids;

  it('hold for the role that has one, and for no other reader', async () => {
    await setCondition({ owner: { $reader: 'id' } });
    await owner.query(`update users set attributes = '{}'`);
    const own = documents.filter(({ facts }) => facts.owner === `user:${user}`).map(({ id }) => id);
    expect(await idsOf(tokens)).toEqual(own.sort());
    for (const unbound of [
      ...roles.map((name) => [`role:${name}`]),
      ['all:documents'],
      ['role:clerk', 'all:documents'],
      [],
    ]) {
      expect(await idsOf([...unbound, `user:${user}`])).toEqual(all());
    }
    // A role that is not there, and more roles than one, which nobody has.
    for (const odd of [['role:ghost'], ['role:clerk', 'role:ghost'], ['role:']]) {
      expect(await idsOf([...odd, `user:${user}`])).toEqual(none);
    }
    await setCondition(null);
    expect(await idsOf(tokens)).toEqual(all());
  });

  it('know nothing of a reader whom nobody knows, and of a key what is said of the key', async () => {
    await setCondition({ 'metadata.region': { $in: { $reader: 'regions' } } });
    await owner.query(
      `insert into api_keys (id, tenant_id, name, key_hash, role, created_by, created_at, attributes)
       values ('keykeykeykey', $1, 'A key', '\\x01', 'clerk', 'platform', now(), '{"regions": ["eu"]}')
       on conflict (id) do nothing`,
      [tenant],
    );
    await owner.query(`update users set attributes = '{"regions": ["us"]}'`);
    const inRegion = (region: string) =>
      documents
        .filter(({ facts }) => facts.metadata.region === region)
        .map(({ id }) => id)
        .sort();
    expect(inRegion('eu').length).toBeGreaterThan(0);
    expect(await idsOf(['role:clerk', 'user:keykeykeykey'])).toEqual(inRegion('eu'));
    expect(await idsOf(['role:clerk', `user:${user}`])).toEqual(inRegion('us'));
    // A key that is a user's reads as the user.
    expect(await idsOf(['role:clerk', 'user:keykeykeykey', `user:${user}`])).toEqual(inRegion('us'));
    for (const nobody of ['user:other', `user:${randomUUID()}`, 'user:', 'group:keykeykeykey']) {
      expect(await idsOf(['role:clerk', nobody])).toEqual(none);
    }
  });

  it('hold for what belongs to a document, for changing it, and for who may hide it', async () => {
    const [shown, hidden] = documents as [(typeof documents)[0], (typeof documents)[0]];
    for (const { id } of [shown, hidden]) {
      await owner.query(
        `insert into document_texts (document_id, version, tenant_id, start_offset, end_offset, text) values ($1, 1, $2, 0, 4, 'text')`,
        [id, tenant],
      );
      await owner.query(
        `insert into chunks (id, tenant_id, document_id, version, ordinal, start_offset, end_offset, heading, tokens, text)
         values ($1, $2, $3, 1, 0, 0, 4, '', 1, 'text')`,
        [randomUUID(), tenant, id],
      );
      await owner.query(
        `insert into deletion_receipts (id, tenant_id, document_id, blob_key, readers, created_by, requested_by, requested_at)
         values ($1, $2, $3, 'blob', '{}', 'user:x', $4, now())`,
        [randomUUID(), tenant, id, id === shown.id ? `user:${user}` : 'user:somebody'],
      );
    }
    await owner.query(`update documents set metadata = metadata || '{"kept": true}' where id = $1`, [
      shown.id,
    ]);
    await setCondition({ 'metadata.kept': true });
    expect(await idsOf(tokens)).toEqual([shown.id]);
    for (const table of ['document_texts', 'chunks', 'deletion_receipts']) {
      expect(await asReader(tokens, `select document_id from ${table}`)).toEqual([{ document_id: shown.id }]);
    }
    for (const [table, column] of [
      ['documents', 'id'],
      ['document_texts', 'document_id'],
      ['chunks', 'document_id'],
    ]) {
      expect(await asReader(tokens, `delete from ${table} returning ${column} as id`)).toEqual([
        { id: shown.id },
      ]);
    }
    expect(await asReader(tokens, `update documents set title = 'Mine' returning id`)).toEqual([
      { id: shown.id },
    ]);
    await expect(asReader(tokens, `update documents set metadata = '{}' returning id`)).rejects.toThrow(
      /row-level/,
    );
    // What decides is not the reader's to call or to change in another tenant.
    await expect(asReader(tokens, 'select advance_knowledge_version(current_tenant())')).rejects.toThrow(
      /denied/,
    );
  });
});
