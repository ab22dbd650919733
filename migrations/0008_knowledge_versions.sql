-- Up Migration

-- Counts what may change a tenant's answers: a document that becomes searchable, changes its title, readers or metadata,
-- or goes; and what the index was told since. An answer that is kept names the version that it was made from, so no
-- answer outlives the documents behind it, whichever instance changed them.
CREATE TABLE knowledge_versions (
  tenant_id uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
  version bigint NOT NULL
);
CALL protect_tenant_table('knowledge_versions', 'SELECT');

-- Runs as the owner: callers change documents, and nobody sets a version. A tenant that is being deleted has none.
CREATE FUNCTION advance_knowledge_version(tenant uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  INSERT INTO knowledge_versions (tenant_id, version)
  SELECT id, 1 FROM tenants WHERE id = tenant
  ON CONFLICT (tenant_id) DO UPDATE SET version = knowledge_versions.version + 1;
$$;
REVOKE ALL ON FUNCTION advance_knowledge_version FROM PUBLIC;

CREATE FUNCTION documents_changed_knowledge() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM advance_knowledge_version(coalesce(NEW.tenant_id, OLD.tenant_id));
  RETURN NULL;
END $$;

-- At commit, so that the one row a tenant has is locked for an instant only, and after every other lock.
CREATE CONSTRAINT TRIGGER advance_knowledge AFTER UPDATE ON documents
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (OLD.searchable_version IS DISTINCT FROM NEW.searchable_version
    OR OLD.title IS DISTINCT FROM NEW.title
    OR OLD.readers IS DISTINCT FROM NEW.readers
    OR OLD.metadata IS DISTINCT FROM NEW.metadata)
  EXECUTE FUNCTION documents_changed_knowledge();
CREATE CONSTRAINT TRIGGER advance_knowledge_by_deletion AFTER DELETE ON documents
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION documents_changed_knowledge();

-- What the index proposes changes when it has caught up, which is a moment after the document did.
CREATE FUNCTION index_changed_knowledge() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM advance_knowledge_version(tenant_id) FROM (SELECT DISTINCT tenant_id FROM told) tenants_told;
  RETURN NULL;
END $$;
CREATE TRIGGER advance_knowledge AFTER DELETE ON index_changes
  REFERENCING OLD TABLE AS told FOR EACH STATEMENT EXECUTE FUNCTION index_changed_knowledge();
