import type { Generated } from 'kysely';

/** The tables of `migrations/0003_knowledge.sql`, as kysely sees them. */

export const documentStatuses = ['queued', 'parsing', 'indexing', 'ready', 'failed'] as const;
export type DocumentStatus = (typeof documentStatuses)[number];
/** On its way: a job is at work on it or will be. */
export const unfinishedStatuses = [
  'queued',
  'parsing',
  'indexing',
] as const satisfies readonly DocumentStatus[];

export type Metadata = Readonly<Record<string, string | number | boolean>>;

export type DocumentTable = {
  id: string;
  tenant_id: string;
  external_id: string | null;
  title: string;
  given_title: string | null;
  status: DocumentStatus;
  reason: string | null;
  detail: string | null;
  warnings: string[];
  attempts: number;
  version: number;
  searchable_version: number | null;
  declared_type: string | null;
  content_type: string | null;
  file_name: string | null;
  bytes: bigint;
  content_hash: Buffer;
  blob_key: string;
  text_length: number | null;
  chunk_count: number | null;
  metadata: Metadata;
  readers: string[];
  created_by: string;
  created_at: Date;
  updated_at: Date;
};
export type DocumentRow = DocumentTable;

export type TextPart = { readonly start: number; readonly end: number; readonly text: string };

type DocumentTextTable = {
  document_id: string;
  version: number;
  tenant_id: string;
  start_offset: number;
  end_offset: number;
  text: string;
};

export type ChunkTable = {
  id: string;
  tenant_id: string;
  document_id: string;
  version: number;
  ordinal: number;
  start_offset: number;
  end_offset: number;
  heading: string;
  tokens: number;
  text: string;
};

type LooseBlobTable = { blob_key: string; tenant_id: string; document_id: string | null; removable_at: Date };

type IndexChangeTable = {
  id: Generated<bigint>;
  tenant_id: string;
  document_id: string;
  change: 'upsert' | 'delete';
  created_at: Date;
  /** Whose index is to be told; the database fills it in, and makes a row for each. */
  place: Generated<string>;
};

/** One place a deleted document was in: what was removed, and what a look afterwards still found. */
export type PlaceResult = {
  readonly place: string;
  /** Rows or files removed; null where the place does not count them. */
  readonly removed: number | null;
  /** Null until it was looked for. */
  readonly found: number | null;
};

export type DeletionReceiptRow = {
  id: string;
  tenant_id: string;
  document_id: string;
  blob_key: string;
  readers: string[];
  created_by: string;
  requested_by: string;
  requested_at: Date;
  completed_at: Date | null;
  attempts: number;
  places: PlaceResult[];
};

export type KnowledgeTables = {
  documents: DocumentTable;
  document_texts: DocumentTextTable;
  chunks: ChunkTable;
  loose_blobs: LooseBlobTable;
  index_changes: IndexChangeTable;
  deletion_receipts: DeletionReceiptRow;
};
