-- Up Migration

-- Narrows what callers see of a tenant's table, whatever other policies allow. The owner role is a member of the
-- application role and would be bound by its policies too, so it is let through by name.
CREATE PROCEDURE restrict_callers(target regclass, policy text, condition text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE POLICY %I ON %s AS RESTRICTIVE TO gatehouse_app
    USING (current_user = %L OR %s) WITH CHECK (true)', policy, target, current_user, condition);
END $$;
REVOKE ALL ON PROCEDURE restrict_callers FROM PUBLIC;

CREATE TABLE documents (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  -- The caller's own name for it: sending the same external id again replaces the content instead of adding a document.
  external_id text,
  title text NOT NULL,
  -- The title that a caller gave; null: `title` follows the file, and changes with it.
  given_title text,
  status text NOT NULL CHECK (status IN ('queued', 'parsing', 'indexing', 'ready', 'failed')),
  -- Why it failed: a reason code of the parser, and a sentence for a person.
  reason text,
  detail text,
  -- What its owner should know although it was read: pages without text, and the like.
  warnings text[] NOT NULL DEFAULT '{}',
  -- How often work on this version was begun anew after it ended without an outcome.
  attempts integer NOT NULL DEFAULT 0,
  -- Counts content: each change of file or text is a new version, and work on an older one is dropped.
  version integer NOT NULL,
  -- The newest version that search and answers see; null until the first is ready.
  searchable_version integer,
  -- As the sender declared it, and as the parser found it.
  declared_type text,
  content_type text,
  file_name text,
  bytes bigint NOT NULL,
  content_hash bytea NOT NULL,
  blob_key text NOT NULL,
  text_length integer,
  chunk_count integer,
  metadata jsonb NOT NULL DEFAULT '{}',
  -- `role:…`, `group:…`, `user:…`; none: everyone in the tenant.
  readers text[] NOT NULL DEFAULT '{}',
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
-- Not unique: two callers who cannot see each other's documents may use the same external id, and refusing the second
-- would tell that the first exists. Among the documents that a caller sees it is unique, by a lock in the store.
CREATE INDEX documents_external_id ON documents (tenant_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX documents_listing ON documents (tenant_id, created_at DESC, id DESC);
CREATE INDEX documents_content ON documents (tenant_id, content_hash);
CREATE INDEX documents_unfinished ON documents (id) WHERE status IN ('queued', 'parsing', 'indexing');
CALL protect_tenant_table('documents', 'SELECT, INSERT, UPDATE, DELETE');

-- On top of the tenant's wall: a document with readers exists only for them, for who made it, and for those who manage
-- all documents.
CALL restrict_callers('documents', 'readers', $$
  readers = '{}'
  OR readers && (SELECT current_reader_tokens())
  OR created_by = ANY ((SELECT current_reader_tokens())::text[])
  OR 'all:documents' = ANY ((SELECT current_reader_tokens())::text[])
$$);

-- The stored text, which every offset refers to, in parts of at most 65,536 UTF-16 code units that never split a
-- character: a citation from a long document is checked without reading all of it. Rows are written once per version.
-- The reference is checked at commit, so that storing a long document does not keep others from changing its row.
CREATE TABLE document_texts (
  document_id uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  version integer NOT NULL,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  start_offset integer NOT NULL,
  end_offset integer NOT NULL CHECK (end_offset > start_offset),
  text text NOT NULL,
  PRIMARY KEY (document_id, version, start_offset)
);
CALL protect_tenant_table('document_texts', 'SELECT, DELETE');
-- Visible exactly when the document is: the subquery runs under the same policies.
CALL restrict_callers('document_texts', 'follows_document', 'EXISTS (SELECT FROM documents d WHERE d.id = document_id)');

CREATE TABLE chunks (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  document_id uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  version integer NOT NULL,
  ordinal integer NOT NULL,
  -- UTF-16 code units into the stored text of that version; text is exactly that slice.
  start_offset integer NOT NULL,
  end_offset integer NOT NULL CHECK (end_offset > start_offset),
  heading text NOT NULL,
  tokens integer NOT NULL,
  text text NOT NULL,
  UNIQUE (document_id, version, ordinal)
);
CALL protect_tenant_table('chunks', 'SELECT, DELETE');
CALL restrict_callers('chunks', 'follows_document', 'EXISTS (SELECT FROM documents d WHERE d.id = document_id)');

-- Files in the object store that no document holds: an upload under way or abandoned, and what a newer version replaced.
-- Written before the file is, so that a crash between the two leaves nothing behind for good.
CREATE TABLE loose_blobs (
  blob_key text PRIMARY KEY,
  -- No cascade: a tenant is not gone while files of it are left.
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  -- The document it was of; null for an upload that is none yet.
  document_id uuid,
  removable_at timestamptz NOT NULL
);
CREATE INDEX loose_blobs_removable ON loose_blobs (removable_at);
CREATE INDEX loose_blobs_document ON loose_blobs (document_id) WHERE document_id IS NOT NULL;
CALL protect_tenant_table('loose_blobs', 'SELECT, INSERT, UPDATE, DELETE');

-- What the index must still be told: written in the transaction that changes a document, removed when the index has it.
-- The index is derived; this is how it never misses a change, whatever is killed when.
CREATE TABLE index_changes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  document_id uuid NOT NULL,
  change text NOT NULL CHECK (change IN ('upsert', 'delete')),
  created_at timestamptz NOT NULL
);
CREATE INDEX index_changes_tenant ON index_changes (tenant_id, id);
CALL protect_tenant_table('index_changes', 'SELECT, INSERT');
GRANT USAGE ON SEQUENCE index_changes_id_seq TO gatehouse_app;

-- One index per tenant, in generations; the active one answers, a building one is filled beside it.
CREATE TABLE index_generations (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  number integer NOT NULL,
  state text NOT NULL CHECK (state IN ('building', 'active', 'retired')),
  -- What made its vectors; null: lexical only.
  embedding_model text,
  dimensions integer,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, number)
);
CREATE UNIQUE INDEX index_generations_active ON index_generations (tenant_id) WHERE state = 'active';
CALL protect_tenant_table('index_generations', 'SELECT');

-- Deletions with what was verified to be gone. A document disappears in the transaction that writes its receipt; the
-- places outside the database follow, and the receipt is open until each was probed and found empty.
CREATE TABLE deletion_receipts (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  document_id uuid NOT NULL UNIQUE,
  blob_key text NOT NULL,
  -- As they stood on the document: who could see it may see what became of it, and nobody else learns that it was there.
  readers text[] NOT NULL,
  created_by text NOT NULL,
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL,
  completed_at timestamptz,
  attempts integer NOT NULL DEFAULT 0,
  -- For each place: how much was removed, and how much the probe afterwards still found.
  places jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX deletion_receipts_tenant ON deletion_receipts (tenant_id, requested_at);
CREATE INDEX deletion_receipts_open ON deletion_receipts (id) WHERE completed_at IS NULL;
CALL protect_tenant_table('deletion_receipts', 'SELECT, INSERT');
CALL restrict_callers('deletion_receipts', 'readers', $$
  readers = '{}'
  OR readers && (SELECT current_reader_tokens())
  OR created_by = ANY ((SELECT current_reader_tokens())::text[])
  OR 'all:documents' = ANY ((SELECT current_reader_tokens())::text[])
$$);
