import type { z } from 'zod';
import { aclOf } from './acl.ts';
import type { documentView, receiptView } from './documents.schema.ts';
import type { DeletionReceiptRow, DocumentRow } from './knowledge-tables.ts';

/** A document as the interface shows it. */
export function showDocument(row: DocumentRow): z.infer<typeof documentView> {
  const acl = aclOf(row.readers);
  return {
    id: row.id,
    external_id: row.external_id,
    title: row.title,
    status: row.status,
    reason: row.reason,
    detail: row.detail,
    warnings: row.warnings,
    version: row.version,
    searchable_version: row.searchable_version,
    content_type: row.content_type ?? row.declared_type,
    file_name: row.file_name,
    bytes: Number(row.bytes),
    content_sha256: row.content_hash.toString('hex'),
    text_length: row.text_length,
    chunk_count: row.chunk_count,
    metadata: row.metadata,
    acl: { roles: [...acl.roles], groups: [...acl.groups], users: [...acl.users] },
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

export function showReceipt(row: DeletionReceiptRow): z.infer<typeof receiptView> {
  return {
    id: row.id,
    document_id: row.document_id,
    status: row.completed_at ? 'complete' : 'in_progress',
    requested_by: row.requested_by,
    requested_at: row.requested_at.toISOString(),
    completed_at: row.completed_at?.toISOString() ?? null,
    places: row.places.map(({ place, removed, found }) => ({ place, removed, found })),
  };
}
