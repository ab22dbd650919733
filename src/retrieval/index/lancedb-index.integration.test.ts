import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tokenize } from '@lancedb/lancedb';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { searchIndexContract } from '../../../test/contracts/search-index.ts';
import { indexRow, upsert, WORDS_ONLY } from '../../../test/contracts/search-index-rows.ts';
import { type Clock, systemClock } from '../../platform/clock.ts';
import { createStemmer, fold, wordsOf } from '../passages/terms.ts';
import { fullTextOptions } from './lance-tables.ts';
import { createLanceDbIndex, type LanceDbIndexDeps } from './lancedb-index.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lancedb-index-'));
});
afterAll(() => rm(directory, { recursive: true }));

function createIndex(folder: string, deps: Partial<LanceDbIndexDeps> = {}) {
  const onOptimiseFailure = (_tenantId: string, cause: unknown) => {
    throw cause;
  };
  return createLanceDbIndex({ uri: join(directory, folder), clock: systemClock, onOptimiseFailure, ...deps });
}

describe('the index on LanceDB', () => {
  let stores = 0;
  searchIndexContract(async () => createIndex(`contract-${++stores}`));
});

describe('files of the index', () => {
  it('that are removed under a running process read as absent, and are built again', async () => {
    const index = createIndex('removed');
    await index.apply('t', WORDS_ONLY, upsert(indexRow('a.1', 'before')));
    expect(await index.lexical('t', WORDS_ONLY, 'before', { limit: 5 })).toHaveLength(1);
    await rm(join(directory, 'removed'), { recursive: true });
    expect(await index.lexical('t', WORDS_ONLY, 'before', { limit: 5 })).toEqual([]);
    expect(await index.statistics('t', WORDS_ONLY)).toMatchObject({ state: 'absent' });
    await index.apply('t', WORDS_ONLY, upsert(indexRow('a.1', 'after')));
    expect(await index.lexical('t', WORDS_ONLY, 'after', { limit: 5 })).toHaveLength(1);
    await index.stop();
  });

  it('that are damaged are called unreadable, and can be dropped and built again', async () => {
    const writer = createIndex('damaged');
    await writer.apply('t', WORDS_ONLY, upsert(indexRow('a.1', 'before')));
    await writer.stop();
    const versions = join(directory, 'damaged', 't', 'g1.lance', '_versions');
    for (const name of await readdir(versions)) await writeFile(join(versions, name), 'damaged');

    const index = createIndex('damaged');
    await expect(index.lexical('t', WORDS_ONLY, 'before', { limit: 5 })).rejects.toMatchObject({
      code: 'dependency_down',
    });
    await expect(index.apply('t', WORDS_ONLY, upsert(indexRow('a.1', 'x')))).rejects.toMatchObject({
      code: 'dependency_down',
    });
    expect(await index.statistics('t', WORDS_ONLY)).toMatchObject({ state: 'unreadable' });
    await index.drop('t');
    expect(await index.statistics('t', WORDS_ONLY)).toMatchObject({ state: 'absent' });
    await index.apply('t', WORDS_ONLY, upsert(indexRow('a.1', 'after')));
    expect(await index.lexical('t', WORDS_ONLY, 'after', { limit: 5 })).toHaveLength(1);
    await index.stop();
  });

  it('of old versions go once no query can be reading them', async () => {
    let laterMs = 0;
    const clock = {
      ...systemClock,
      now: () => new Date(Date.now() + laterMs),
      monotonicMs: () => systemClock.monotonicMs() + laterMs,
    };
    const index = createIndex('versions', { clock });
    for (let n = 0; n < 10; n++) await index.apply('t', WORDS_ONLY, upsert(indexRow('a.1', `version ${n}`)));
    await index.optimise('t', WORDS_ONLY, { force: true });
    expect((await index.statistics('t', WORDS_ONLY)).versions).toBeGreaterThan(10);
    laterMs = 120_000;
    await index.optimise('t', WORDS_ONLY);
    expect((await index.statistics('t', WORDS_ONLY)).versions).toBeLessThan(3);
    expect(await index.lexical('t', WORDS_ONLY, 'version', { limit: 5 })).toHaveLength(1);
    await index.stop();
  });

  it('are optimised by and by, however little was written', async () => {
    const sleeps: (() => void)[] = [];
    let laterMs = 0;
    const clock: Clock = {
      now: () => new Date(Date.now() + laterMs),
      monotonicMs: () => systemClock.monotonicMs() + laterMs,
      sleep: (_ms, signal) =>
        new Promise((resolve, reject) => {
          sleeps.push(resolve);
          signal?.addEventListener('abort', () => reject(signal.reason));
        }),
    };
    const index = createIndex('by-and-by', { clock });
    await index.apply('t', WORDS_ONLY, upsert(indexRow('a.1', 'little')));
    await index.optimise('t', WORDS_ONLY);
    expect(await index.statistics('t', WORDS_ONLY)).toMatchObject({ unindexedRows: 1 });
    // One look after half a minute indexes it, a later one removes what that replaced, and then it is left alone.
    for (const expected of [{ unindexedRows: 0 }, { unindexedRows: 0, versions: 1 }]) {
      await vi.waitFor(() => expect(sleeps).toHaveLength(1));
      laterMs += 61_000;
      sleeps.shift()?.();
      await vi.waitFor(async () => expect(await index.statistics('t', WORDS_ONLY)).toMatchObject(expected));
    }
    await index.apply('t', WORDS_ONLY, upsert(indexRow('a.1', 'little again')));
    expect(sleeps).toHaveLength(1);
    await index.stop();
  });

  it('of many tenants are read and written with few of them open', async () => {
    const index = createIndex('many', { maxOpenTables: 2 });
    const tenants = Array.from({ length: 12 }, (_, n) => `t${n}`);
    await Promise.all(
      tenants.map((tenant) => index.apply(tenant, WORDS_ONLY, upsert(indexRow('a.1', `word ${tenant}`)))),
    );
    const rounds = [0, 1, 2].flatMap(() => tenants);
    const found = await Promise.all(
      rounds.map((tenant) => index.lexical(tenant, WORDS_ONLY, `word ${tenant}`, { limit: 5 })),
    );
    expect(found.every((candidates) => candidates.length === 1)).toBe(true);
    await index.stop();
  });

  it('written by another process are seen without a restart', async () => {
    const [reader, writer] = [createIndex('shared', { refreshSeconds: 0 }), createIndex('shared')];
    await writer.apply('t', WORDS_ONLY, upsert(indexRow('a.1', 'first')));
    expect(await reader.lexical('t', WORDS_ONLY, 'first', { limit: 5 })).toHaveLength(1);
    await writer.apply('t', WORDS_ONLY, upsert(indexRow('b.1', 'second')));
    expect(await reader.lexical('t', WORDS_ONLY, 'second', { limit: 5 })).toHaveLength(1);
    await Promise.all([reader.stop(), writer.stop()]);
  });
});

it('a process killed while it writes leaves an index with every acknowledged change, each whole', async () => {
  const script = fileURLToPath(new URL('../../../test/harness/index-writer.ts', import.meta.url));
  const uri = join(directory, 'killed');
  let next = 0;
  for (const writes of [6, 8, 11]) {
    const child = spawn(process.execPath, [script, uri, 't', `${next}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const until = next + writes;
    let output = '';
    for await (const data of child.stdout) {
      output += data;
      const acknowledged = output.split('\n').at(-2);
      if (acknowledged !== undefined && Number(acknowledged) >= until) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    expect(child.signalCode).toBe('SIGKILL');

    const last = Number(output.split('\n').at(-2));
    await expectWhole(uri, last);
    next = last + 2;
  }

  async function expectWhole(uri: string, last: number) {
    const index = createLanceDbIndex({ uri, clock: systemClock, onOptimiseFailure: () => undefined });
    for (let document = 0; document < 5; document++) {
      const documentId = `d${document}`;
      const latest = last - ((last - document + 5) % 5);
      // The write after the last acknowledged one may have been made or not, but not in part.
      const possible = (last + 1) % 5 === document ? [latest, last + 1] : [latest];
      const found = [];
      for (const write of possible) {
        const options = { limit: 10, documentIds: [documentId] };
        found.push((await index.lexical('t', WORDS_ONLY, `write${write}`, options)).length);
      }
      expect(found.sort()).toEqual(possible.length === 1 ? [3] : [0, 3]);
      expect(await index.count('t', WORDS_ONLY, documentId)).toBe(3);
    }
    await index.stop();
  }
});

it('words are parted and stemmed by the index as they are when passages are ranked', async () => {
  const corpora = new URL('../../../test/fixtures/judged-set/corpora/', import.meta.url);
  const texts = await Promise.all(
    (await readdir(corpora)).map((name) => readFile(new URL(name, corpora), 'utf8')),
  );
  const others =
    "Cafés naïve €11,287.50 e-mail foo_bar β-catenin GPT-4o don't can’t U.S. communities generously skies dying " +
    'organizations happily controlling ﬁnance Straße Øresund naïveté cafés 한국어 문장 über-motivated restlessness';
  const stem = createStemmer();
  for (const text of [...texts, others]) {
    const tokens = await tokenize(fold(text), fullTextOptions);
    expect(wordsOf(text).map(stem)).toEqual(tokens.map((token) => token.text));
  }
});
