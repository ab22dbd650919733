-- Up Migration

CREATE TABLE documents (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  -- The caller's own name for it: sending the same external id again replaces the content instead of adding a document.
  external_id text,
  title text NOT NULL,
  status text NOT NULL CHECK (status IN ('queued', 'parsing', 'indexing', 'ready', 'failed')),
  -- Why it failed: a reason code of the parser, and a sentence for a person.
  reason text,
  detail text,
  -- Counts content: each change of file or text is a new version, and work on an older one is dropped.
  version integer NOT NULL,
  -- The newest version that search and answers see; null until the first is ready.
  searchable_version integer,
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
CREATE UNIQUE INDEX documents_external_id ON documents (tenant_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX documents_listing ON documents (tenant_id, created_at DESC, id DESC);
CREATE INDEX documents_content ON documents (tenant_id, content_hash);
CREATE INDEX documents_unfinished ON documents (status) WHERE status IN ('queued', 'parsing', 'indexing');
CALL protect_tenant_table('documents', 'SELECT, INSERT, UPDATE, DELETE');

-- On top of the tenant's wall: a document with readers exists only for them, for who made it, and for those who manage
-- all documents. RESTRICTIVE, so no other policy can widen it.
CREATE POLICY readers ON documents AS RESTRICTIVE TO gatehouse_app
  USING (
    readers = '{}'
    OR readers && (SELECT current_reader_tokens())
    OR created_by = ANY ((SELECT current_reader_tokens())::text[])
    OR 'all:documents' = ANY ((SELECT current_reader_tokens())::text[])
  )
  WITH CHECK (true);

-- The stored text, which every offset refers to. Rows are written once per version.
CREATE TABLE document_texts (
  document_id uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
  version integer NOT NULL,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  text text NOT NULL,
  PRIMARY KEY (document_id, version)
);
CALL protect_tenant_table('document_texts', 'SELECT, INSERT, DELETE');
-- Visible exactly when the document is: the subquery runs under the same policies.
CREATE POLICY follows_document ON document_texts AS RESTRICTIVE TO gatehouse_app
  USING (EXISTS (SELECT FROM documents d WHERE d.id = document_id)) WITH CHECK (true);

CREATE TABLE chunks (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  document_id uuid NOT NULL,
  version integer NOT NULL,
  ordinal integer NOT NULL,
  -- UTF-16 code units into the stored text of that version; text is exactly that slice.
  start_offset integer NOT NULL,
  end_offset integer NOT NULL CHECK (end_offset > start_offset),
  heading text NOT NULL,
  tokens integer NOT NULL,
  text text NOT NULL,
  FOREIGN KEY (document_id, version) REFERENCES document_texts (document_id, version) ON DELETE CASCADE,
  UNIQUE (document_id, version, ordinal)
);
CALL protect_tenant_table('chunks', 'SELECT, INSERT, DELETE');
CREATE POLICY follows_document ON chunks AS RESTRICTIVE TO gatehouse_app
  USING (EXISTS (SELECT FROM documents d WHERE d.id = document_id)) WITH CHECK (true);

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

-- Deletions with what was verified to be gone.
CREATE TABLE deletion_receipts (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  document_id uuid NOT NULL,
  blob_key text NOT NULL,
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL,
  completed_at timestamptz,
  -- For each place: what was removed and what the probe afterwards found.
  probes jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX deletion_receipts_tenant ON deletion_receipts (tenant_id, document_id);
CREATE INDEX deletion_receipts_open ON deletion_receipts (requested_at) WHERE completed_at IS NULL;
CALL protect_tenant_table('deletion_receipts', 'SELECT, INSERT');
