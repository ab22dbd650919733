import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type KnowledgeServer, startKnowledgeServer } from '../../test/harness/knowledge.ts';

let server: KnowledgeServer;
let one: string;
let two: string;

beforeAll(async () => {
  server = await startKnowledgeServer();
  one = await server.keyIn('one', 'admin');
  two = await server.keyIn('two', 'admin');
});
afterAll(() => server?.stop());

async function versionOf(slug: string): Promise<bigint> {
  const tenantId = await tenantIdOf(slug);
  return BigInt((await server.knowledge.knowledgeVersion({ tenantId, readerTokens: [] })) ?? -1);
}

async function tenantIdOf(slug: string): Promise<string> {
  const { rows } = await sql<{ id: string }>`select id from tenants where slug = ${slug}`.execute(
    server.test.database.platform,
  );
  return rows[0]?.id ?? '';
}

async function added(key: string, text: string): Promise<string> {
  const reply = await server.request(key, 'POST', '/documents?wait=true', { text });
  expect(reply.status).toBe(201);
  return reply.json.id;
}

describe('the knowledge version', () => {
  test('is older before than after each change that an answer could show, and the same for another tenant', async () => {
    expect(await versionOf('two')).toBe(0n);
    let before = await versionOf('one');
    const id = await added(one, 'Expenses are paid monthly.');
    const advanced = async () => {
      const now = await versionOf('one');
      expect(now).toBeGreaterThan(before);
      before = now;
    };
    await advanced();

    const changes: [string, object][] = [
      ['new text', { text: 'Expenses are paid weekly.' }],
      ['new readers', { acl: { groups: ['finance'] } }],
      ['new title', { title: 'Money' }],
      ['new metadata', { metadata: { year: '2026' } }],
    ];
    for (const [, change] of changes) {
      const reply = await server.request(one, 'PUT', `/documents/${id}?wait=true`, {
        text: 'Expenses are paid weekly.',
        ...change,
      });
      expect(reply.status).toBe(200);
      await advanced();
    }

    expect((await server.request(one, 'DELETE', `/documents/${id}`)).status).toBe(200);
    await advanced();
    expect(await versionOf('two')).toBe(0n);
  });

  test('stays while nothing changes', async () => {
    const id = await added(two, 'The office opens at nine.');
    const before = await versionOf('two');
    expect((await server.request(two, 'GET', `/documents/${id}`)).status).toBe(200);
    expect(await versionOf('two')).toBe(before);
  });

  test('goes with its tenant', async () => {
    const key = await server.keyIn('three', 'admin');
    await added(key, 'Short-lived.');
    const tenantId = await tenantIdOf('three');
    const { platform } = server.test.database;
    await sql`delete from loose_blobs where tenant_id = ${tenantId}`.execute(platform);
    await sql`delete from tenants where id = ${tenantId}`.execute(platform);
    const { rows } = await sql`select * from knowledge_versions where tenant_id = ${tenantId}`.execute(
      platform,
    );
    expect(rows).toEqual([]);
  });
});
