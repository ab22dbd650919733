-- Up Migration

-- Conditions on attributes (ACC-6). A role of a tenant's own may say of which documents its holders know, by what is said of
-- a document, by the attributes of whoever reads, and by the time. `document_path` is the condition as the server compiled
-- it; here it is decided, beside the documents' readers, so that no query of any kind can go past it.
ALTER TABLE api_keys ADD COLUMN attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object');
ALTER TABLE custom_roles
  ADD COLUMN document_condition jsonb CHECK (jsonb_typeof(document_condition) = 'object'),
  ADD COLUMN document_path jsonpath,
  -- The times it speaks of, as seconds from now; any at all: what its holders may read changes by itself.
  ADD COLUMN document_times integer[] NOT NULL DEFAULT '{}',
  ADD CHECK ((document_condition IS NULL) = (document_path IS NULL)),
  ADD CHECK (document_path IS NOT NULL OR document_times = '{}');

-- As the interface writes it, so that times are compared as text.
CREATE FUNCTION time_text(at timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- What conditions may say of a document. What is null is not there.
CREATE FUNCTION document_facts(owner text, created_at timestamptz, metadata jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
  RETURN jsonb_strip_nulls(jsonb_build_object('owner', owner, 'created_at', time_text(created_at), 'metadata', metadata));

-- The caller's own role; null for whoever has none, a built-in one, or reads every document. More than one, which no caller
-- has, is a role that is nobody's.
CREATE FUNCTION reader_custom_role() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  tokens text[] := current_reader_tokens();
  held text[];
BEGIN
  IF 'all:documents' = ANY (tokens) THEN RETURN NULL; END IF;
  held := ARRAY(SELECT DISTINCT substr(token, 6) FROM unnest(tokens) token
    WHERE token LIKE 'role:%' AND token NOT IN ('role:viewer', 'role:analyst', 'role:operator', 'role:admin', 'role:owner'));
  RETURN CASE cardinality(held) WHEN 0 THEN NULL WHEN 1 THEN held[1] ELSE '' END;
END $$;

-- What the caller's role says of documents; null: nothing. A role that is not there knows of none.
CREATE FUNCTION reader_document_condition() RETURNS jsonpath LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  own_role text := reader_custom_role();
  condition jsonpath;
BEGIN
  IF own_role IS NULL THEN RETURN NULL; END IF;
  SELECT document_path INTO condition FROM custom_roles WHERE tenant_id = current_tenant() AND name = own_role;
  RETURN CASE WHEN FOUND THEN condition ELSE 'strict 1 == 0'::jsonpath END;
END $$;

-- Whether what the caller may read changes with nothing but the time.
CREATE FUNCTION reader_condition_is_timed() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN EXISTS (SELECT FROM custom_roles WHERE tenant_id = current_tenant() AND name = reader_custom_role()
    AND document_times <> '{}');

-- The caller's attributes: the user's whom the key or token is of, else the key's own. Read from their rows at each use, so
-- that no token, session or memory carries old ones.
CREATE FUNCTION reader_attributes() RETURNS jsonb LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  ids text[] := ARRAY(SELECT substr(token, 6) FROM unnest(current_reader_tokens()) token WHERE token LIKE 'user:%');
  found_attributes jsonb;
BEGIN
  SELECT attributes INTO found_attributes FROM users
    WHERE tenant_id = current_tenant() AND id = ANY (ARRAY(SELECT i::uuid FROM unnest(ids) i
      WHERE i ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'));
  IF FOUND THEN RETURN found_attributes; END IF;
  SELECT attributes INTO found_attributes FROM api_keys WHERE tenant_id = current_tenant() AND id = ANY (ids);
  RETURN coalesce(found_attributes, '{}');
END $$;

-- Who reads, and when: what conditions compare documents with. What the server knows itself goes before attributes of the
-- same name. `id` has the form of a document's owner.
CREATE FUNCTION reader_facts() RETURNS jsonb LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  tokens text[] := current_reader_tokens();
  own_role text := reader_custom_role();
  users_of text[] := ARRAY(SELECT token FROM unnest(tokens) WITH ORDINALITY t(token, place) WHERE token LIKE 'user:%'
    ORDER BY place DESC);
BEGIN
  RETURN jsonb_build_object(
    'reader', jsonb_strip_nulls(reader_attributes() || jsonb_build_object(
      'id', users_of[1],
      'role', own_role,
      'groups', to_jsonb(ARRAY(SELECT substr(token, 7) FROM unnest(tokens) token WHERE token LIKE 'group:%')))),
    'now', coalesce((SELECT jsonb_object_agg(seconds::text, time_text(now() + seconds * interval '1 second'))
      FROM custom_roles, unnest(document_times) seconds WHERE tenant_id = current_tenant() AND name = own_role), '{}'));
END $$;

-- Policies are asked in the order of their names: the readers first.
CALL restrict_callers('documents', 'under_condition', $$
  (SELECT reader_document_condition()) IS NULL
  OR jsonb_path_match(document_facts(created_by, created_at, metadata),
    (SELECT reader_document_condition()), (SELECT reader_facts()), true)
$$);
-- What was said of a deleted document is not kept, so under a condition a receipt is for whoever asked for the deletion.
CALL restrict_callers('deletion_receipts', 'under_condition', $$
  (SELECT reader_document_condition()) IS NULL
  OR requested_by = ANY ((SELECT current_reader_tokens())::text[])
$$);

-- Answers that are kept were made for a reader as they were then, under the condition of then.
CREATE CONSTRAINT TRIGGER advance_knowledge AFTER INSERT OR DELETE ON custom_roles
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION documents_changed_knowledge();
CREATE CONSTRAINT TRIGGER advance_knowledge_by_condition AFTER UPDATE ON custom_roles
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.document_condition IS DISTINCT FROM NEW.document_condition)
  EXECUTE FUNCTION documents_changed_knowledge();
CREATE CONSTRAINT TRIGGER advance_knowledge_by_attributes AFTER UPDATE ON users
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.attributes IS DISTINCT FROM NEW.attributes)
  EXECUTE FUNCTION documents_changed_knowledge();
CREATE CONSTRAINT TRIGGER advance_knowledge_by_attributes AFTER UPDATE ON api_keys
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.attributes IS DISTINCT FROM NEW.attributes)
  EXECUTE FUNCTION documents_changed_knowledge();

-- What belongs to a document is looked for by the document's id, row by row: as EXISTS, the planner may choose to decide
-- every document of the tenant once to know of a few, which a condition makes dear.
DROP POLICY follows_document ON chunks;
CALL restrict_callers('chunks', 'follows_document', '(SELECT true FROM documents d WHERE d.id = document_id)');
DROP POLICY follows_document ON document_texts;
CALL restrict_callers('document_texts', 'follows_document', '(SELECT true FROM documents d WHERE d.id = document_id)');
