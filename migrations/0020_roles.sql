-- Up Migration

-- Roles of a tenant's own, beside the built-in ones. A name never changes: keys, users and readers of documents hold it.
CREATE TABLE custom_roles (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{1,62}$'
    AND name NOT IN ('viewer', 'analyst', 'operator', 'admin', 'owner')),
  description text NOT NULL DEFAULT '' CHECK (length(description) <= 1000),
  permissions text[] NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (tenant_id, name)
);
CREATE INDEX custom_roles_listing ON custom_roles (tenant_id, created_at DESC, id DESC);
CALL protect_tenant_table('custom_roles', 'SELECT, INSERT, UPDATE, DELETE');
CALL audit_table('custom_roles', 'role', 'id');
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON custom_roles
  FOR EACH ROW EXECUTE FUNCTION notify_access_changed();

-- Whoever is given a role is given one that there is, and that stays as long as they hold it: the lock keeps a deletion
-- from passing by. For every table with a tenant_id and a role.
CREATE FUNCTION refuse_unknown_role() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.role IN ('viewer', 'analyst', 'operator', 'admin', 'owner') THEN RETURN NEW; END IF;
  PERFORM FROM custom_roles WHERE tenant_id = NEW.tenant_id AND name = NEW.role FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no role "%"', NEW.role USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'role_exists';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER role_exists BEFORE INSERT OR UPDATE OF role ON users
  FOR EACH ROW EXECUTE FUNCTION refuse_unknown_role();
CREATE TRIGGER role_exists BEFORE INSERT OR UPDATE OF role ON api_keys
  FOR EACH ROW EXECUTE FUNCTION refuse_unknown_role();

-- The row is locked when this runs, so that nobody is given the role meanwhile. A tenant goes with all that is its.
CREATE FUNCTION refuse_role_in_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM tenants WHERE id = OLD.tenant_id) AND (
    EXISTS (SELECT FROM users WHERE tenant_id = OLD.tenant_id AND role = OLD.name)
    OR EXISTS (SELECT FROM api_keys WHERE tenant_id = OLD.tenant_id AND role = OLD.name
      AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())))
  THEN
    RAISE EXCEPTION 'the role "%" is in use', OLD.name USING ERRCODE = 'restrict_violation', CONSTRAINT = 'role_in_use';
  END IF;
  RETURN OLD;
END $$;
CREATE TRIGGER role_in_use BEFORE DELETE ON custom_roles
  FOR EACH ROW EXECUTE FUNCTION refuse_role_in_use();

-- What was done to documents is for those who may read every document: an entry would tell anybody else that one is there.
CALL restrict_callers('audit_entries', 'documents', $$
  target_type <> 'document' OR 'all:documents' = ANY ((SELECT current_reader_tokens())::text[])
$$);

-- Members of documents' metadata that only some roles read: those listed, and whoever holds the permission to read all of
-- them. Read where documents are read, so that a change holds at the next request.
CREATE TABLE masking_rules (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  field text NOT NULL CHECK (length(field) BETWEEN 1 AND 100),
  -- `role:…`, as documents' readers are stored.
  readers text[] NOT NULL DEFAULT '{}',
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, field)
);
CALL protect_tenant_table('masking_rules', 'SELECT, INSERT, UPDATE, DELETE');
CALL audit_table('masking_rules', 'masking_rule', 'field');
-- Answers that are kept were made under the rules before.
CREATE CONSTRAINT TRIGGER advance_knowledge AFTER INSERT OR UPDATE OR DELETE ON masking_rules
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION documents_changed_knowledge();

-- The members that the caller may not read.
CREATE FUNCTION masked_fields() RETURNS text[] LANGUAGE sql STABLE
  RETURN ARRAY(SELECT field FROM masking_rules
    WHERE tenant_id = current_tenant()
      AND NOT 'all:metadata' = ANY (current_reader_tokens())
      AND NOT readers && current_reader_tokens()
    ORDER BY field);

-- Metadata as the caller may read it: that there is such a member shows, what it says does not.
CREATE FUNCTION shown_metadata(metadata jsonb, masked text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE
  RETURN CASE WHEN NOT metadata ?| masked THEN metadata
    ELSE (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (masked) THEN '"[masked]"'::jsonb ELSE value END)
      FROM jsonb_each(metadata)) END;
