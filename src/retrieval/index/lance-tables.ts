import type { Connection, Session, Table } from '@lancedb/lancedb';
import { fold, MAX_WORD_LENGTH } from '../passages/terms.ts';
import type { IndexGeneration, IndexRow } from './search-index.ts';

type Lance = typeof import('@lancedb/lancedb');

/** An open generation. */
export interface LanceTable {
  readonly table: Table;
  /** Writes since the last optimisation, rows among them that are not indexed yet, and when the first was made. */
  readonly waiting: { writes: number; rows: number; sinceMs: number };
  /** Until when optimising again can wait. This and the other times are on the monotonic clock. */
  restUntilMs: number;
  /** When old versions are next worth removing; undefined when there are none. */
  cleanUpAfterMs: number | undefined;
}

export interface LanceTables {
  /** Keeps the generation open while `work` runs; `undefined` is passed when it does not exist. */
  read<Result>(
    tenantId: string,
    generation: IndexGeneration,
    work: (open: LanceTable | undefined) => Promise<Result>,
  ): Promise<Result>;
  /** The same to write: the generation is created when it does not exist. One writer at a time, please. */
  write<Result>(
    tenantId: string,
    generation: IndexGeneration,
    work: (open: LanceTable) => Promise<Result>,
  ): Promise<Result>;
  /** Closes the handle once nobody uses it, so that the next use opens afresh. */
  forget(tenantId: string, generation: IndexGeneration): void;
  /** Deletes one generation's table, or all of a tenant's. */
  drop(tenantId: string, generationNumber: number | undefined): Promise<void>;
  close(): void;
}

export interface LanceTablesOptions {
  /** A local directory, or an object store address such as `s3://bucket/index`; tenants are folders in it. */
  readonly uri: string;
  readonly storageOptions?: Record<string, string>;
  /** Memory for index pages and, separately, an eighth of it for file metadata; shared by all tenants. */
  readonly cacheBytes: number;
  readonly maxOpenTables: number;
  /** How old a reader's view of other processes' writes may be. This process's own are seen at once. */
  readonly refreshSeconds: number;
}

interface Entry {
  readonly tenantId: string;
  readonly generationNumber: number;
  readonly opening: Promise<LanceTable | undefined>;
  users: number;
  retired: boolean;
}

/** Rows that are not passages: see `createTable`. */
export const PLACEHOLDER_ID = '';

/** Keeps at most `maxOpenTables` generations open, the least recently used closing first. */
export function createLanceTables(options: LanceTablesOptions): LanceTables {
  const entries = new Map<string, Entry>();
  let loaded: Promise<{ lance: Lance; session: Session }> | undefined;

  // The native library takes about 45 MB and a quarter of a second: only processes that search pay.
  const load = () => {
    loaded ??= import('@lancedb/lancedb').then((lance) => ({
      lance,
      session: new lance.Session(BigInt(options.cacheBytes), BigInt(options.cacheBytes >> 3)),
    }));
    return loaded;
  };

  async function connect(tenantId: string): Promise<Connection> {
    const { lance, session } = await load();
    return lance.connect(`${options.uri}/${tenantId}`, {
      session,
      readConsistencyInterval: options.refreshSeconds,
      ...(options.storageOptions && { storageOptions: options.storageOptions }),
    });
  }

  async function open(tenantId: string, generation: IndexGeneration, mode: 'read' | 'write') {
    const { lance } = await load();
    const connection = await connect(tenantId);
    try {
      let table = await openTable(connection, tableName(generation.number));
      if (!table && mode === 'write') table = await createTable(lance, connection, generation);
      if (!table) return undefined;
      const missing = await missingIndexes(table);
      if (missing.length > 0) {
        // A crash between creating the table and its indexes: nothing was ever written to it.
        if (mode === 'read') {
          table.close();
          return undefined;
        }
        await createIndexes(lance, table, missing);
      }
      const rows = (await table.indexStats('searchable_idx'))?.numUnindexedRows ?? 0;
      // What another process left waiting has waited long enough.
      const waiting = { writes: rows > 0 ? 1 : 0, rows, sinceMs: Number.NEGATIVE_INFINITY };
      return { table, waiting, restUntilMs: 0, cleanUpAfterMs: undefined };
    } finally {
      connection.close();
    }
  }

  function retire(key: string, entry: Entry): void {
    if (entries.get(key) === entry) entries.delete(key);
    entry.retired = true;
    closeIfIdle(entry);
  }

  function closeIfIdle(entry: Entry): void {
    if (!entry.retired || entry.users > 0) return;
    entry.opening.then(
      (opened) => opened?.table.close(),
      () => undefined,
    );
  }

  function entryFor(tenantId: string, generation: IndexGeneration, mode: 'read' | 'write'): [string, Entry] {
    const key = keyOf(tenantId, generation.number);
    const known = entries.get(key);
    if (known) {
      entries.delete(key);
      entries.set(key, known);
      return [key, known];
    }
    const opening = open(tenantId, generation, mode);
    const entry: Entry = { tenantId, generationNumber: generation.number, opening, users: 0, retired: false };
    entries.set(key, entry);
    // What is absent or broken is looked for again the next time.
    opening.then(
      (opened) => opened ?? retire(key, entry),
      () => retire(key, entry),
    );
    closeLeastRecentlyUsed(entry);
    return [key, entry];
  }

  /** Those in use stay: what is written through one handle must be seen through the same. */
  function closeLeastRecentlyUsed(newest: Entry): void {
    for (const [key, entry] of entries) {
      if (entries.size <= options.maxOpenTables) return;
      if (entry.users === 0 && entry !== newest) retire(key, entry);
    }
  }

  async function use<Result>(
    entry: Entry,
    work: (open: LanceTable | undefined) => Promise<Result>,
  ): Promise<Result> {
    entry.users += 1;
    try {
      return await work(await entry.opening);
    } finally {
      entry.users -= 1;
      closeIfIdle(entry);
    }
  }

  return {
    read: (tenantId, generation, work) => use(entryFor(tenantId, generation, 'read')[1], work),

    async write(tenantId, generation, work) {
      for (;;) {
        const [key, entry] = entryFor(tenantId, generation, 'write');
        const outcome = await use(entry, async (open) => open && { result: await work(open) });
        if (outcome) return outcome.result;
        // A reader found nothing just before this writer came: open again, creating it.
        retire(key, entry);
      }
    },

    forget(tenantId, generation) {
      const key = keyOf(tenantId, generation.number);
      const entry = entries.get(key);
      if (entry) retire(key, entry);
    },

    async drop(tenantId, generationNumber) {
      for (const [key, entry] of [...entries]) {
        const same = generationNumber === undefined || entry.generationNumber === generationNumber;
        if (entry.tenantId === tenantId && same) retire(key, entry);
      }
      const connection = await connect(tenantId);
      try {
        const names = await connection.tableNames();
        for (const name of names) {
          if (generationNumber === undefined || name === tableName(generationNumber))
            await connection.dropTable(name);
        }
      } finally {
        connection.close();
      }
    },

    close() {
      for (const [key, entry] of [...entries]) retire(key, entry);
    },
  };
}

const tableName = (generationNumber: number) => `g${generationNumber}`;
const keyOf = (tenantId: string, generationNumber: number) => `${tenantId}/${generationNumber}`;

async function openTable(connection: Connection, name: string): Promise<Table | undefined> {
  try {
    return await connection.openTable(name);
  } catch (error) {
    if (error instanceof Error && /^Table '.*' was not found/.test(error.message)) return undefined;
    throw error;
  }
}

/**
 * Creates a generation with one placeholder row. While no row at all is in its full-text index, LanceDB does not
 * sort the matches of a query, and its limit keeps arbitrary ones: the placeholder is always in the index.
 */
async function createTable(
  lance: Lance,
  connection: Connection,
  generation: IndexGeneration,
): Promise<Table> {
  const row = { chunk_id: PLACEHOLDER_ID, document_id: PLACEHOLDER_ID, searchable: '' };
  const zeros =
    generation.dimensions === null ? {} : { vector: new Array<number>(generation.dimensions).fill(0) };
  const { schema } = lance.makeArrowTable([{ ...row, ...zeros }]);
  const nulls = generation.dimensions === null ? {} : { vector: null };
  const name = tableName(generation.number);
  return connection.createTable(name, [{ ...row, ...nulls }], { schema, mode: 'create', existOk: true });
}

const INDEXED_COLUMNS = ['chunk_id', 'document_id', 'searchable'] as const;

async function missingIndexes(table: Table): Promise<(typeof INDEXED_COLUMNS)[number][]> {
  const present = new Set((await table.listIndices()).flatMap(({ columns }) => columns));
  return INDEXED_COLUMNS.filter((column) => !present.has(column));
}

async function createIndexes(
  lance: Lance,
  table: Table,
  columns: readonly (typeof INDEXED_COLUMNS)[number][],
): Promise<void> {
  for (const column of columns) {
    await table.createIndex(column, {
      config: column === 'searchable' ? lance.Index.fts(fullTextOptions) : lance.Index.btree(),
    });
  }
}

/**
 * Words as `wordsOf` makes them, stemmed; the integration test holds the two together. Rows are folded before they
 * are stored: folding after stemming would part `cafés` from `cafes`. Stop words stay in: leaving
 * them out of the query serves as well, and "The Who" can still be found. No positions: they double the size, and
 * nearness is judged on the text of the candidates.
 */
export const fullTextOptions = {
  baseTokenizer: 'icu/split',
  language: 'English',
  stem: true,
  removeStopWords: false,
  lowercase: true,
  asciiFolding: false,
  maxTokenLength: MAX_WORD_LENGTH,
  withPosition: false,
} as const;

/** A row as the table stores it. Title and heading are searched with the text, once. */
export function toStoredRow(row: IndexRow, generation: IndexGeneration): Record<string, unknown> {
  const searchable = fold(`${row.title}\n${row.heading}\n${row.text}`);
  const stored = { chunk_id: row.chunkId, document_id: row.documentId, searchable };
  return generation.dimensions === null ? stored : { ...stored, vector: row.vector ?? null };
}
