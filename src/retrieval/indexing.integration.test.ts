import { cp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type RetrievalServer, startRetrievalServer } from '../../test/harness/retrieval.ts';
import type { SearchIndex } from './index/search-index.ts';

let server: RetrievalServer;
afterEach(() => server?.stop());

const generation = { number: 1, dimensions: null };

/** Stops the server, does something to its files, and starts it again on them. */
async function restart(between: () => Promise<void> = async () => {}): Promise<void> {
  const { test, dataDir } = server;
  await server.close();
  await between();
  server = await startRetrievalServer({ test, dataDir });
}

const search = (key: string, query: string) => server.request(key, 'POST', '/search', { query });

async function titles(key: string, query: string): Promise<string[]> {
  const reply = await search(key, query);
  expect(reply.status, reply.text).toBe(200);
  return reply.json.hits.map(({ title }: { title: string }) => title).sort();
}

/** While the index is mended a search is refused with a time to come back, and never answered with nothing. */
async function untilItAnswers(key: string, query: string): Promise<void> {
  await expect
    .poll(
      async () => {
        const { status, headers, json } = await search(key, query);
        if (status === 503) expect(headers['retry-after']).toBe('5');
        if (status === 200) expect(json.hits).not.toEqual([]);
        return status;
      },
      { timeout: 20_000 },
    )
    .toBe(200);
}

/** Documents with their numbers of passages, in the index and in the database. */
async function bothSides(tenantId: string) {
  const indexed = await server.index.documents(tenantId, generation);
  const stored = await server.knowledge.indexFeed.indexableDocuments(tenantId, null, 1_000);
  return {
    indexed: Object.fromEntries([...indexed].sort()),
    stored: Object.fromEntries(stored.map(({ documentId, chunkCount }) => [documentId, chunkCount]).sort()),
  };
}

async function everyFile(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe('the index of a tenant', () => {
  it('is built again from the database after it was deleted', async () => {
    server = await startRetrievalServer();
    const operator = await server.keyIn('one', 'operator');
    const other = await server.keyIn('two', 'operator');
    for (let n = 0; n < 5; n++) await server.add(operator, `Pump ${n}`, `The pump number ${n} needs oil.`);
    await server.add(other, 'Other pump', 'The pump of another tenant.');
    const before = (await search(operator, 'pump oil')).json.hits;

    await restart(() => rm(server.indexDir, { recursive: true }));
    expect((await search(operator, 'pump oil')).json.hits).toEqual(before);
    expect(await titles(other, 'pump')).toEqual(['Other pump']);
  });

  it('refuses to answer from nothing when it disappears at run time, and is back soon', async () => {
    server = await startRetrievalServer();
    const operator = await server.keyIn('one', 'operator');
    await server.add(operator, 'Pump', 'The pump needs oil.');
    expect(await titles(operator, 'pump')).toEqual(['Pump']);
    await rm(server.indexDir, { recursive: true });
    await untilItAnswers(operator, 'pump');
    await server.add(operator, 'Valve', 'The valve of the pump leaks.');
    expect(await titles(operator, 'pump')).toEqual(['Pump', 'Valve']);
  });

  it('is built again when its files are damaged', async () => {
    server = await startRetrievalServer();
    const operator = await server.keyIn('one', 'operator');
    await server.add(operator, 'Pump', 'The pump needs oil.');
    await restart(async () => {
      for (const file of await everyFile(server.indexDir)) await writeFile(file, 'not what was here');
    });
    await untilItAnswers(operator, 'pump');
  });

  it('is brought up to date after an older copy of it was put back', async () => {
    server = await startRetrievalServer();
    const operator = await server.keyIn('one', 'operator');
    const changed = await server.add(operator, 'Changed', 'The pump needs oil.');
    const deleted = await server.add(operator, 'Deleted', 'The pump needs water.');
    const copy = join(server.dataDir, 'copy');
    await restart(() => cp(server.indexDir, copy, { recursive: true }));
    await server.request(operator, 'PUT', `/documents/${changed}?wait=true`, {
      text: 'The turbine needs grease.',
    });
    await server.request(operator, 'DELETE', `/documents/${deleted}`);
    await server.add(operator, 'Added', 'The turbine needs air.');
    expect(await titles(operator, 'turbine')).toEqual(['Added', 'Changed']);

    await restart(async () => {
      await rm(server.indexDir, { recursive: true });
      await cp(copy, server.indexDir, { recursive: true });
    });
    expect(await titles(operator, 'turbine')).toEqual(['Added', 'Changed']);
    expect(await titles(operator, 'pump')).toEqual([]);
    const { indexed, stored } = await bothSides(server.tenantId('one'));
    expect(indexed).toEqual(stored);
  });

  it('has one copy of everything when a change is told again because a crash came before it was crossed off', async () => {
    server = await startRetrievalServer();
    const operator = await server.keyIn('one', 'operator');
    const tenantId = server.tenantId('one');
    await server.add(operator, 'Pump', 'The pump needs oil.');
    const feed = server.knowledge.indexFeed;
    const finish = feed.finishIndexChanges;
    feed.finishIndexChanges = () => Promise.reject(new Error('killed here'));
    await server.request(operator, 'POST', '/documents', {
      title: 'Valve',
      text: 'The valve of the pump leaks.',
    });
    await expect.poll(async () => (await server.index.documents(tenantId, generation)).size).toBe(2);
    expect(await feed.takeIndexChanges(tenantId, 10)).not.toEqual([]);
    feed.finishIndexChanges = finish;
    await server.retrieval.indexNow(tenantId);
    expect(await feed.takeIndexChanges(tenantId, 10)).toEqual([]);
    await expect.poll(() => titles(operator, 'pump')).toEqual(['Pump', 'Valve']);
    const { indexed, stored } = await bothSides(tenantId);
    expect(indexed).toEqual(stored);
  });

  it('takes up what was left over when it starts, without being told', async () => {
    let refuse = false;
    const failing = (index: SearchIndex): SearchIndex => ({
      ...index,
      apply: (...change) => (refuse ? Promise.reject(new Error('no room')) : index.apply(...change)),
    });
    server = await startRetrievalServer({ wrapIndex: failing });
    const operator = await server.keyIn('one', 'operator');
    await server.add(operator, 'Pump', 'The pump needs oil.');
    refuse = true;
    const waiting = await server.request(operator, 'POST', '/documents', {
      title: 'Valve',
      text: 'A leaking valve.',
    });
    expect(waiting.status).toBe(202);
    const tenantId = server.tenantId('one');
    await expect
      .poll(async () => (await server.knowledge.indexFeed.takeIndexChanges(tenantId, 1)).length)
      .toBe(1);
    await restart();
    await expect.poll(() => titles(operator, 'valve'), { timeout: 20_000 }).toEqual(['Valve']);
  });

  it('equals the database after any mixture of changes at once', async () => {
    server = await startRetrievalServer();
    const operator = await server.keyIn('one', 'operator');
    const tenantId = server.tenantId('one');
    const step = fc.record({
      kind: fc.constantFrom('add', 'change', 'delete', 'index'),
      document: fc.nat(5),
      words: fc.constantFrom('pump', 'valve', 'turbine'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const ids: string[] = [];
        await Promise.all(
          steps.map(async ({ kind, document, words }, n) => {
            const id = ids[document];
            const text = `${words} ${n} ${words}`;
            if (kind === 'index') return server.retrieval.indexNow(tenantId);
            if (kind === 'add' || id === undefined) {
              const added = await server.request(operator, 'POST', '/documents', { title: `${n}`, text });
              ids.push(added.json.id);
            } else if (kind === 'change') await server.request(operator, 'PUT', `/documents/${id}`, { text });
            else await server.request(operator, 'DELETE', `/documents/${id}`);
          }),
        );
        await expect
          .poll(
            async () => {
              const unfinished = await server.request(operator, 'GET', '/documents?limit=200');
              return unfinished.json.documents.filter(({ status }: { status: string }) => status !== 'ready')
                .length;
            },
            { timeout: 30_000 },
          )
          .toBe(0);
        await server.retrieval.indexNow(tenantId);
        const { indexed, stored } = await bothSides(tenantId);
        expect(indexed).toEqual(stored);
      }),
      { numRuns: 8 },
    );
  }, 120_000);
});
