import { describe, expect, test } from 'vitest';
import type { DocumentRow } from './knowledge-tables.ts';
import { type Content, decideRevision } from './revision.ts';

const now = new Date('2026-01-01T00:00:00Z');

function ready(over: Partial<DocumentRow> = {}): DocumentRow {
  return {
    id: 'd',
    tenant_id: 't',
    external_id: null,
    title: 'From the file',
    given_title: null,
    status: 'ready',
    reason: null,
    detail: null,
    warnings: [],
    attempts: 0,
    version: 3,
    searchable_version: 3,
    declared_type: 'text/markdown',
    content_type: 'text/markdown',
    file_name: null,
    bytes: 5n,
    content_hash: Buffer.from('same'),
    blob_key: 'old',
    text_length: 5,
    chunk_count: 1,
    metadata: { a: 1, b: 'x' },
    readers: ['group:hr'],
    created_by: 'user:u',
    created_at: now,
    updated_at: now,
    ...over,
  };
}

function content(over: Partial<Content> = {}): Content {
  return {
    blobKey: 'new',
    hash: Buffer.from('same'),
    bytes: 5,
    declaredType: null,
    fileName: null,
    ...over,
  };
}

describe('what a revision changes', () => {
  test('the same again changes nothing, in whatever order metadata is written', () => {
    const decision = decideRevision(ready({ given_title: 'T', title: 'T' }), {
      title: 'T',
      metadata: { b: 'x', a: 1 },
      readers: ['group:hr'],
      content: content(),
    });
    expect(decision).toEqual({ change: 'none', set: {}, reindex: false });
  });

  test('other bytes are a new version, on its way, that forgets how the last one ended', () => {
    const failed = ready({ status: 'failed', reason: 'empty', detail: 'd', warnings: ['w'], attempts: 4 });
    const { change, set } = decideRevision(failed, { content: content({ hash: Buffer.from('other') }) });
    expect(change).toBe('content');
    expect(set).toMatchObject({
      version: 4,
      status: 'queued',
      reason: null,
      detail: null,
      warnings: [],
      attempts: 0,
      blob_key: 'new',
    });
    expect(set).not.toHaveProperty('searchable_version');
  });

  test('the same bytes are tried again when reading them failed', () => {
    expect(decideRevision(ready({ status: 'failed' }), { content: content() }).change).toBe('content');
    expect(decideRevision(ready({ status: 'indexing' }), { content: content() }).change).toBe('none');
  });

  test('the same bytes as another type are news; without a type they are not', () => {
    expect(decideRevision(ready(), { content: content({ declaredType: 'text/html' }) }).change).toBe(
      'content',
    );
    expect(decideRevision(ready(), { content: content({ declaredType: null }) }).change).toBe('none');
  });

  test('new text without a type is what the text before was; a file speaks for itself', () => {
    const other = { hash: Buffer.from('other') };
    expect(decideRevision(ready(), { content: content(other) }).set.declared_type).toBe('text/markdown');
    const file = content({ ...other, fileName: 'x.pdf' });
    expect(decideRevision(ready(), { content: file }).set.declared_type).toBeNull();
    const wasFile = ready({ file_name: 'x.html' });
    expect(decideRevision(wasFile, { content: content(other) }).set.declared_type).toBeNull();
  });

  test('a title is told to the index, other attributes are not', () => {
    expect(decideRevision(ready(), { title: 'New' })).toEqual({
      change: 'attributes',
      set: { title: 'New', given_title: 'New' },
      reindex: true,
    });
    expect(decideRevision(ready({ text_length: null }), { title: 'New' }).reindex).toBe(false);
    expect(decideRevision(ready(), { readers: [] })).toEqual({
      change: 'attributes',
      set: { readers: [] },
      reindex: false,
    });
    expect(decideRevision(ready(), { metadata: { a: 2 } }).set).toEqual({ metadata: { a: 2 } });
  });

  test('giving the title that the file had pins it', () => {
    expect(decideRevision(ready(), { title: 'From the file' }).set).toEqual({
      title: 'From the file',
      given_title: 'From the file',
    });
  });
});
