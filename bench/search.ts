/**
 * Searching 100,000 chunks: `node bench/search.ts [--chunks 100000] [--texts <folder of .md files>] [--dimensions 384]`.
 *
 * Baselines, in the same run on the same rows: a table whose rows wait to be indexed for words, and a comparison of
 * all vectors for vectors. Prints figures and ratios; fails nothing by time.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connect, Index, MatchQuery } from '@lancedb/lancedb';
import { systemClock } from '../src/platform/clock.ts';
import { createLanceDbIndex } from '../src/retrieval/index/lancedb-index.ts';
import { queryTerms } from '../src/retrieval/index/query-terms.ts';
import type { IndexGeneration, IndexRow } from '../src/retrieval/index/search-index.ts';
import { CANDIDATES_RANKED, rankPassages } from '../src/retrieval/passages/rank-passages.ts';
import { createChance, createTexts } from './search-texts.ts';

const { values } = parseArgs({
  options: {
    chunks: { type: 'string', default: '100000' },
    texts: { type: 'string' },
    dimensions: { type: 'string', default: '0' },
  },
});
const chunks = Number(values.chunks);
const dimensions = Number(values.dimensions);
const generation: IndexGeneration = { number: 1, dimensions: dimensions || null };
const CHUNKS_PER_DOCUMENT = 20;
const CHUNKS_PER_CHANGE = 500;

const chance = createChance(11);
const texts = createTexts(values.texts, chance);
const directory = await mkdtemp(join(tmpdir(), 'bench-search-'));
const index = createLanceDbIndex({
  uri: directory,
  clock: systemClock,
  onOptimiseFailure: (_, cause) => {
    throw cause;
  },
});
const textOf = new Map<string, string>();
const questions: string[] = [];

console.log(`${chunks} chunks, ${texts.name}, ${dimensions || 'no'} dimensions`);
console.log(`memory before: ${memory()}`);
await build();
await queries();
if (dimensions > 0) await vectors();
await baselineOfWords();
await index.stop();
await rm(directory, { recursive: true });

async function build(): Promise<void> {
  const started = performance.now();
  let writing = 0;
  for (let at = 0; at < chunks; at += CHUNKS_PER_CHANGE) {
    const rows = Array.from({ length: Math.min(CHUNKS_PER_CHANGE, chunks - at) }, (_, n) => row(at + n));
    const byDocument = Map.groupBy(rows, ({ documentId }) => documentId);
    const upsertDocuments = [...byDocument].map(([documentId, its]) => ({ documentId, rows: its }));
    const before = performance.now();
    await index.apply('bench', generation, { upsertDocuments, deleteDocuments: [] });
    writing += performance.now() - before;
  }
  await index.optimise('bench', generation, { force: true });
  const seconds = (performance.now() - started) / 1000;
  const { bytes, fragments, unindexedRows } = await index.statistics('bench', generation);
  console.log(
    `ingest: ${(chunks / seconds).toFixed(0)} chunks/s (${seconds.toFixed(1)} s, of it waiting for writes ${(writing / 1000).toFixed(1)} s)`,
  );
  console.log(
    `index: ${(bytes / 1e6).toFixed(0)} MB, ${fragments} fragments, ${unindexedRows} rows unindexed; memory ${memory()}`,
  );
}

function row(number: number): IndexRow {
  const chunkId = `c${number}`;
  const text = texts.chunk();
  textOf.set(chunkId, text);
  if (questions.length < 200 && number % Math.ceil(chunks / 200) === 0) questions.push(texts.question(text));
  const documentId = `d${Math.floor(number / CHUNKS_PER_DOCUMENT)}`;
  const plain = { chunkId, documentId, title: `Document ${documentId}`, heading: '', text };
  return dimensions > 0 ? { ...plain, vector: randomVector() } : plain;
}

/** Vectors in loose clusters, as those of texts are. */
function randomVector(): Float32Array {
  const centre = createChance(1 + Math.floor(chance() * 500));
  return Float32Array.from({ length: dimensions }, () => centre() - 0.5 + (chance() - 0.5) * 0.6);
}

async function queries(): Promise<void> {
  const words = (question: string) =>
    index.lexical('bench', generation, question, { limit: CANDIDATES_RANKED });
  for (const question of questions.slice(0, 20)) await words(question);
  print('words, optimised', await times(questions, words));
  const ranked = async (question: string) => {
    const found = await words(question);
    rankPassages(
      question,
      found.map(({ chunkId }) => ({ text: textOf.get(chunkId) ?? '', title: '', heading: '' })),
    );
  };
  print(`words, and ranking of ${CANDIDATES_RANKED}`, await times(questions, ranked));
  const documentIds = Array.from({ length: 200 }, (_, n) => `d${n}`);
  print(
    'words in 200 documents',
    await times(questions, (question) =>
      index.lexical('bench', generation, question, { limit: CANDIDATES_RANKED, documentIds }),
    ),
  );

  const waiting = Array.from({ length: 500 }, (_, n) => row(chunks + n));
  const byDocument = Map.groupBy(waiting, ({ documentId }) => documentId);
  await index.apply('bench', generation, {
    upsertDocuments: [...byDocument].map(([documentId, rows]) => ({ documentId, rows })),
    deleteDocuments: [],
  });
  print('words, 500 rows unindexed', await times(questions.slice(0, 50), words));
  const before = performance.now();
  await index.optimise('bench', generation, { force: true });
  console.log(`optimising 500 rows: ${(performance.now() - before).toFixed(0)} ms`);
}

async function vectors(): Promise<void> {
  const asked = Array.from({ length: 100 }, randomVector);
  const connection = await connect(join(directory, 'bench'));
  const table = await connection.openTable('g1');
  const exactly = (vector: Float32Array) =>
    table
      .query()
      .nearestTo(vector)
      .distanceType('cosine')
      .bypassVectorIndex()
      .select(['chunk_id', '_distance'])
      .limit(10)
      .toArray();
  const nearly = (vector: Float32Array) => index.vector('bench', generation, vector, { limit: 10 });
  let same = 0;
  for (const vector of asked) {
    const truth = new Set((await exactly(vector)).map((found) => found.chunk_id));
    same += (await nearly(vector)).filter(({ chunkId }) => truth.has(chunkId)).length / truth.size;
  }
  const indexed = await times(asked, nearly);
  const flat = await times(asked.slice(0, 30), exactly);
  print(`vectors, recall@10 ${(same / asked.length).toFixed(3)}`, indexed);
  print('baseline: all vectors compared', flat);
  console.log(`ratio to baseline (p50): ${(flat.p50 / indexed.p50).toFixed(1)} ×`);
}

/** The same rows in a table of which only one row is indexed. */
async function baselineOfWords(): Promise<void> {
  const connection = await connect(join(directory, 'baseline'));
  const table = await connection.createTable('waiting', [{ chunk_id: '', searchable: '' }]);
  await table.createIndex('searchable', {
    config: Index.fts({
      stem: true,
      removeStopWords: false,
      withPosition: false,
      baseTokenizer: 'icu/split',
    }),
  });
  const rows = [...textOf].slice(0, chunks).map(([chunk_id, searchable]) => ({ chunk_id, searchable }));
  for (let at = 0; at < rows.length; at += 20_000) await table.add(rows.slice(at, at + 20_000));
  const scan = (question: string) =>
    table
      .query()
      .fullTextSearch(new MatchQuery(queryTerms(question).join(' '), 'searchable'))
      .select(['chunk_id', '_score'])
      .limit(CANDIDATES_RANKED)
      .toArray();
  const flat = await times(questions.slice(0, 3), scan);
  const indexed = await times(questions, (question) =>
    index.lexical('bench', generation, question, { limit: CANDIDATES_RANKED }),
  );
  print('baseline: no row indexed', flat);
  print('words, optimised, again', indexed);
  console.log(`ratio to baseline (p50): ${(flat.p50 / indexed.p50).toFixed(0)} ×`);
}

interface Times {
  readonly p50: number;
  readonly p95: number;
}

async function times<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<Times> {
  const taken: number[] = [];
  for (const item of items) {
    const before = performance.now();
    await work(item);
    taken.push(performance.now() - before);
  }
  taken.sort((a, b) => a - b);
  const at = (share: number) => taken[Math.min(taken.length - 1, Math.floor(share * taken.length))] ?? 0;
  return { p50: at(0.5), p95: at(0.95) };
}

function print(name: string, { p50, p95 }: Times): void {
  console.log(`${name.padEnd(34)} p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms`);
}

function memory(): string {
  return `${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`;
}
