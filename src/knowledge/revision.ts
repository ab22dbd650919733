import { isDeepStrictEqual } from 'node:util';
import type { DocumentRow, Metadata } from './knowledge-tables.ts';

/** A file in the object store, before a document holds it. */
export interface Content {
  readonly blobKey: string;
  readonly hash: Buffer;
  readonly bytes: number;
  /** As the sender said; null when it said nothing that helps. */
  readonly declaredType: string | null;
  readonly fileName: string | null;
}

/** What a caller wants to be different; what is absent stays as it is. */
export interface Revision {
  readonly title?: string | undefined;
  readonly metadata?: Metadata | undefined;
  readonly readers?: readonly string[] | undefined;
  readonly content?: Content | undefined;
}

export interface RevisionDecision {
  /** `content`: a new version, to be read; `attributes`: effective at once; `none`: it is so already. */
  readonly change: 'content' | 'attributes' | 'none';
  readonly set: Partial<Omit<DocumentRow, 'id' | 'tenant_id'>>;
  /** The index shows titles, so it must be told of a new one. */
  readonly reindex: boolean;
}

/**
 * What a revision changes in a document. The same bytes again are no change, unless reading them failed: then they are
 * tried again.
 */
export function decideRevision(current: DocumentRow, wanted: Revision): RevisionDecision {
  const set: { -readonly [name in keyof RevisionDecision['set']]: RevisionDecision['set'][name] } = {};
  const retitled = wanted.title !== undefined && wanted.title !== current.given_title;
  if (retitled && wanted.title !== undefined) {
    set.given_title = wanted.title;
    set.title = wanted.title;
  }
  if (wanted.metadata !== undefined && !isDeepStrictEqual({ ...wanted.metadata }, { ...current.metadata })) {
    set.metadata = wanted.metadata;
  }
  if (wanted.readers !== undefined && !isDeepStrictEqual([...wanted.readers], current.readers)) {
    set.readers = [...wanted.readers];
  }
  const attributesChanged = Object.keys(set).length > 0;
  const { content } = wanted;
  if (content && isNews(current, content)) {
    Object.assign(set, {
      version: current.version + 1,
      status: 'queued',
      reason: null,
      detail: null,
      warnings: [],
      attempts: 0,
      declared_type: content.declaredType ?? keptType(current, content),
      file_name: content.fileName,
      bytes: BigInt(content.bytes),
      content_hash: content.hash,
      blob_key: content.blobKey,
    } satisfies RevisionDecision['set']);
    // Whatever is in the index under the old title is replaced together with the content.
    return { change: 'content', set, reindex: retitled && current.searchable_version !== null };
  }
  return {
    change: attributesChanged ? 'attributes' : 'none',
    set,
    reindex: retitled && current.text_length !== null,
  };
}

function isNews(current: DocumentRow, content: Content): boolean {
  if (current.status === 'failed' || !current.content_hash.equals(content.hash)) return true;
  // The same bytes read as something else; a sender that does not say what they are says nothing new.
  const [before, now] = [current.declared_type, content.declaredType];
  return before !== null && now !== null && before !== now;
}

/** Text sent without saying what it is, in place of text, is what that was; a file speaks for itself. */
function keptType(current: DocumentRow, content: Content): string | null {
  const wasText = current.file_name === null && current.declared_type?.startsWith('text/');
  return content.fileName === null && wasText ? current.declared_type : null;
}
