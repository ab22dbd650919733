import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RetrievalServer, startRetrievalServer } from '../../test/harness/retrieval.ts';
import { createSimulator } from '../../tools/simulator/server.ts';

const simulator = createSimulator({ seed: 7, keepBodies: true, apiKey: 'sk-test-upstream' });
/** Stands before the simulator and refuses every request that holds this word. */
const unspeakable = 'unspeakable';
let refusing: Server;
let server: RetrievalServer;
let admin: string;

beforeAll(async () => {
  const { url } = await simulator.start();
  refusing = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const refused = body.includes(unspeakable);
    const { authorization = '' } = request.headers;
    const reply = refused
      ? Response.json(
          { error: { message: 'This text is not embedded.', type: 'invalid_request_error' } },
          { status: 400 },
        )
      : await fetch(url + request.url, {
          method: 'POST',
          headers: { authorization, 'content-type': 'application/json' },
          body,
        });
    response.writeHead(reply.status, { 'content-type': 'application/json' }).end(await reply.text());
  });
  await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve));
});
beforeEach(async () => {
  server = await startRetrievalServer({
    providerUrl: `http://127.0.0.1:${(refusing.address() as AddressInfo).port}/v1`,
  });
  admin = await server.keyIn('one', 'admin');
});
afterEach(async () => {
  await server?.stop();
  simulator.reset();
});
afterAll(async () => {
  refusing.closeAllConnections();
  refusing.close();
  await simulator.stop();
});

async function putRoute(model: string): Promise<void> {
  const tiers = [{ targets: [{ provider: 'sim', model, weight: 1 }] }];
  const reply = await server.request(admin, 'PUT', '/routes/embeddings', { tiers });
  expect(reply.status, reply.text).toBeLessThan(300);
}

const search = (query: string, mode?: string, limit = 10) =>
  server.request(admin, 'POST', '/search', { query, mode, limit });

interface GenerationRow {
  number: number;
  state: string;
  embedding_model: string | null;
  dimensions: number | null;
}

async function generations(): Promise<GenerationRow[]> {
  const { rows } = await sql<GenerationRow>`
    select number, state, embedding_model, dimensions from index_generations order by number`.execute(
    server.test.database.platform,
  );
  return rows;
}

async function untilActive(model: string | null): Promise<GenerationRow> {
  await expect
    .poll(async () => (await generations()).find(({ state }) => state === 'active')?.embedding_model, {
      timeout: 30_000,
    })
    .toBe(model);
  await server.retrieval.idle();
  const all = await generations();
  expect(all.filter(({ state }) => state !== 'retired')).toHaveLength(1);
  return all.find(({ state }) => state === 'active') as GenerationRow;
}

/** How many passages of all are found by their meaning, which only those with vectors are. */
async function passagesWithVectors(): Promise<number> {
  const { number, dimensions } = (await generations()).find(
    ({ state }) => state === 'active',
  ) as GenerationRow;
  const any = new Float32Array(dimensions ?? 1).fill(0.1);
  const found = await server.index.vector(server.tenantId('one'), { number, dimensions }, any, {
    limit: 1_000,
  });
  return found.length;
}

describe('vectors', () => {
  it('are made with the first document when a model is there, and search is hybrid from then on', async () => {
    await putRoute('text-embedding-3-small');
    const id = await server.add(admin, 'Terms', 'Refunds are paid within five working days.');
    expect(await generations()).toEqual([
      { number: 1, state: 'active', embedding_model: 'text-embedding-3-small', dimensions: 1536 },
    ]);
    const hybrid = await search('refunds');
    expect(hybrid.json).toMatchObject({ mode: 'hybrid', hits: [{ document_id: id }] });
    expect((await search('refunds', 'vector')).json).toMatchObject({
      mode: 'vector',
      hits: [{ document_id: id }],
    });
    expect((await search('refunds', 'lexical')).json).toMatchObject({
      mode: 'lexical',
      hits: [{ document_id: id }],
    });

    const answer = (await server.request(admin, 'POST', '/query', { query: 'When are refunds paid?' })).json;
    expect(answer.usage.embedding_tokens).toBeGreaterThan(0);
    expect(Number(answer.cost_usd)).toBeGreaterThan(0);
    await server.flushLedger();
    const { rows } = await sql<{ key_id: string; operation: string }>`
      select distinct key_id = 'platform' as platform, operation from ledger`.execute(
      server.test.database.platform,
    );
    expect(rows).toEqual(
      expect.arrayContaining([
        { platform: true, operation: 'embeddings' },
        { platform: false, operation: 'embeddings' },
      ]),
    );
  });

  it('come for documents that were there before the model, while search goes on by words', async () => {
    for (let n = 0; n < 20; n++) await server.add(admin, `Note ${n}`, `The pump number ${n} needs oil.`);
    expect((await search('pump')).json.mode).toBe('lexical');
    await putRoute('text-embedding-3-small');
    const early = await search('pump', 'vector');
    expect([200, 503]).toContain(early.status);
    const { number } = await untilActive('text-embedding-3-small');
    expect(number).toBe(2);
    expect(await passagesWithVectors()).toBe(20);
    expect((await search('pump number 7', 'hybrid', 1)).json).toMatchObject({
      mode: 'hybrid',
      hits: [{ title: 'Note 7' }],
    });
    // The old generation is gone from the disk too.
    expect(
      await server.index.statistics(server.tenantId('one'), { number: 1, dimensions: null }),
    ).toMatchObject({
      state: 'absent',
    });
  });

  it('are made anew in a generation of their own when the model changes, and nothing is lost meanwhile', async () => {
    await putRoute('text-embedding-3-small');
    for (let n = 0; n < 12; n++) await server.add(admin, `Note ${n}`, `The pump number ${n} needs oil.`);
    simulator.setPace({ latencyMs: 30 });
    await putRoute('text-embedding-3-large');
    const removed = (await search('pump number 3', 'lexical')).json.hits[0].document_id;
    // Changes while the new generation is being filled reach it as well.
    await server.request(admin, 'DELETE', `/documents/${removed}`);
    await server.add(admin, 'Late', 'The late pump needs grease.');
    const { dimensions } = await untilActive('text-embedding-3-large');
    expect(dimensions).toBe(3072);
    await expect.poll(passagesWithVectors, { timeout: 20_000 }).toBe(12);
    const { hits } = (await search('late pump grease')).json;
    expect(hits[0].title).toBe('Late');
    expect(hits.map(({ document_id }: { document_id: string }) => document_id)).not.toContain(removed);
  });

  it('fail without holding words up, and are made up for', async () => {
    await putRoute('text-embedding-3-small');
    await server.add(admin, 'First', 'The first pump.');
    simulator.setFault({ kind: 'server-error', path: '/v1/embeddings' });
    await server.add(admin, 'Second', 'The second pump.');
    const found = await search('second pump');
    expect(found.status).toBe(200);
    expect(found.json).toMatchObject({ mode: 'lexical', hits: [{ title: 'Second' }, { title: 'First' }] });
    expect(found.json.warnings).toEqual([expect.stringContaining('by their words only')]);
    expect((await search('second pump', 'vector')).status).toBe(502);
    expect(await passagesWithVectors()).toBe(1);
    simulator.setFault(null);
    await expect.poll(passagesWithVectors, { timeout: 30_000 }).toBe(2);
    expect((await search('second pump', 'vector')).json.hits[0].title).toBe('Second');
  });

  it('that the model refuses to make for one document come for the others', async () => {
    await putRoute('text-embedding-3-small');
    await server.add(admin, 'First', 'The first pump.');
    await server.add(admin, 'Second', `The second pump is ${unspeakable}.`);
    await server.add(admin, 'Third', 'The third pump.');
    await expect.poll(passagesWithVectors, { timeout: 30_000 }).toBe(2);
    expect((await search('unspeakable second', 'lexical')).json.hits[0].title).toBe('Second');
    const left = () =>
      sql<{ attempts: number }>`select attempts from index_vectors_missing`.execute(
        server.test.database.platform,
      );
    // It is tried a few times more, and then left alone.
    await expect.poll(async () => (await left()).rows[0]?.attempts, { timeout: 30_000 }).toBe(10);
  });

  it('stay when the route goes, for when it comes back', async () => {
    await putRoute('text-embedding-3-small');
    await server.add(admin, 'First', 'The first pump.');
    expect((await server.request(admin, 'DELETE', '/routes/embeddings')).status).toBe(204);
    await server.add(admin, 'Second', 'The second pump.');
    expect((await search('pump')).json).toMatchObject({ mode: 'lexical' });
    expect((await search('pump', 'vector')).status).toBe(422);
    const calls = simulator.calls().length;
    await putRoute('text-embedding-3-small');
    await expect.poll(passagesWithVectors, { timeout: 30_000 }).toBe(2);
    expect((await search('pump')).json).toMatchObject({ mode: 'hybrid' });
    expect(await generations()).toHaveLength(1);
    // One for the second document, one for the question; the first was not made again.
    expect(simulator.calls().length - calls).toBeLessThanOrEqual(3);
  });
});
