-- Up Migration

-- Data keys seal stored secrets: one at a time for each tenant, and one for the platform (tenant_id is null). They are
-- kept wrapped by a key-encryption key, which is never in the database. Only the platform reads them.
CREATE TABLE data_keys (
  id uuid PRIMARY KEY,
  tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
  wrapped text NOT NULL CHECK (length(wrapped) <= 10000),
  -- Which key wrapped it: the engine, a colon, and the key's name there.
  kek_id text NOT NULL CHECK (length(kek_id) BETWEEN 3 AND 1000),
  created_at timestamptz NOT NULL,
  wrapped_at timestamptz NOT NULL,
  -- From then on another one seals; this one still opens.
  superseded_at timestamptz,
  -- From then on nothing is known to be sealed by it. The row stays: a backup may hold what it sealed.
  retired_at timestamptz,
  CONSTRAINT retired_after_superseded CHECK (retired_at IS NULL OR superseded_at IS NOT NULL)
);
CREATE UNIQUE INDEX data_keys_current ON data_keys (tenant_id) NULLS NOT DISTINCT WHERE superseded_at IS NULL;
CREATE INDEX data_keys_kek ON data_keys (kek_id, id);
ALTER TABLE data_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON data_keys TO gatehouse_app
  USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
CREATE POLICY platform ON data_keys TO CURRENT_USER USING (true) WITH CHECK (true);
REVOKE ALL ON data_keys FROM gatehouse_app;
CALL audit_table('data_keys', 'data_key', 'id', 'wrapped', 'wrapped_at');

-- Which key-encryption keys each instance has, said by itself every few seconds: a new one is used only when all have it.
CREATE TABLE key_holders (
  instance_id uuid PRIMARY KEY,
  -- The first is the one it would wrap by.
  kek_ids text[] NOT NULL CHECK (cardinality(kek_ids) BETWEEN 1 AND 200),
  seen_at timestamptz NOT NULL
);
REVOKE ALL ON key_holders FROM gatehouse_app;
