-- Up Migration

-- Who did what, to what, when, from where, and what was there before and after (AUD-1): written by triggers in the
-- transaction that changes something, so that a change without its entry cannot be. `entry` is the text that is hashed and
-- exported, byte for byte; the other columns repeat of it what lists are filtered by. The application reads and adds.
-- What belongs to no tenant (the platform's own providers, prices, tiers) is the log of the nil tenant.
CREATE TABLE audit_entries (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  target_type text NOT NULL,
  target_id text,
  outcome text NOT NULL CHECK (outcome IN ('done', 'denied', 'failed')),
  correlation_id text,
  entry text NOT NULL CHECK (length(entry) <= 1048576),
  added_by xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX audit_entries_listing ON audit_entries (tenant_id, at DESC, id DESC);
CREATE INDEX audit_entries_target ON audit_entries (tenant_id, target_type, target_id, at DESC, id DESC);
CREATE INDEX audit_entries_added ON audit_entries (added_by);
CREATE INDEX audit_entries_actor ON audit_entries (tenant_id, actor, at DESC, id DESC);
CALL protect_tenant_table('audit_entries', 'SELECT, INSERT');

-- An entry's place in its tenant's tree (AUD-2), given by the sequencer once every transaction before it has ended. There
-- is at most one sequencer at a time. Nodes are the hashes of complete subtrees; level 0 are the leaves.
CREATE TABLE audit_leaves (
  tenant_id uuid NOT NULL,
  leaf bigint NOT NULL CHECK (leaf >= 0),
  entry_id uuid NOT NULL UNIQUE,
  PRIMARY KEY (tenant_id, leaf)
);
CALL protect_tenant_table('audit_leaves', 'SELECT');
CREATE TABLE audit_nodes (
  tenant_id uuid NOT NULL,
  level smallint NOT NULL CHECK (level BETWEEN 0 AND 62),
  index bigint NOT NULL CHECK (index >= 0),
  hash bytea NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (tenant_id, level, index)
);
CALL protect_tenant_table('audit_nodes', 'SELECT');

-- Signed heads: so many entries had this root at this time.
CREATE TABLE audit_heads (
  tenant_id uuid NOT NULL,
  size bigint NOT NULL CHECK (size >= 0),
  at timestamptz NOT NULL,
  root bytea NOT NULL CHECK (length(root) = 32),
  key_id text NOT NULL,
  signature bytea NOT NULL CHECK (length(signature) = 64),
  PRIMARY KEY (tenant_id, size, at)
);
CALL protect_tenant_table('audit_heads', 'SELECT');

-- Entries before this leaf were pruned; their nodes stay, so that every proof still holds.
CREATE TABLE audit_logs (
  tenant_id uuid PRIMARY KEY,
  size bigint NOT NULL DEFAULT 0,
  first_leaf bigint NOT NULL DEFAULT 0 CHECK (first_leaf BETWEEN 0 AND size)
);
CALL protect_tenant_table('audit_logs', 'SELECT');

-- The keys that sign. The private half is sealed under the master key.
CREATE TABLE audit_keys (
  id text PRIMARY KEY,
  public_key text NOT NULL,
  sealed_private_key text NOT NULL,
  created_at timestamptz NOT NULL,
  retired_at timestamptz
);

-- Up to where every tenant's entries have their leaves.
CREATE TABLE audit_horizon (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  added_by xid8 NOT NULL
);
INSERT INTO audit_horizon (added_by) VALUES ('0');

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit entries are never changed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER never_updated BEFORE UPDATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER never_updated BEFORE UPDATE ON audit_leaves FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER never_updated BEFORE UPDATE ON audit_nodes FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER never_updated BEFORE UPDATE ON audit_heads FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

-- What the transaction is done for, as the server set it (`set_config('gatehouse.audit', …, true)`): who, from where, in
-- which request. Unset, it is the platform itself: a job, a migration, an operator with psql.
CREATE FUNCTION audit_context() RETURNS jsonb LANGUAGE sql STABLE
  RETURN coalesce(nullif(current_setting('gatehouse.audit', true), '')::jsonb, '{"actor": {"kind": "platform"}}'::jsonb);

-- The name by which lists find an actor: user:<id>, key:<id>, or platform.
CREATE FUNCTION audit_actor_name(context jsonb) RETURNS text LANGUAGE sql IMMUTABLE
  RETURN concat_ws(':', coalesce(context #>> '{actor,kind}', 'platform'), context #>> '{actor,id}');

-- Adds one entry. Everything that adds one calls this, so all have one form.
CREATE FUNCTION audit_add(tenant uuid, action text, target_type text, target_id text, outcome text, before jsonb, after jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  context jsonb := audit_context();
  entry_id uuid := gen_random_uuid();
  at timestamptz := clock_timestamp();
BEGIN
  INSERT INTO audit_entries (id, tenant_id, at, actor, action, target_type, target_id, outcome, correlation_id, entry)
  VALUES (entry_id, tenant, at, audit_actor_name(context), action, target_type, target_id, outcome,
    context ->> 'correlation_id',
    jsonb_strip_nulls(jsonb_build_object(
      'version', 1, 'id', entry_id, 'tenant_id', tenant,
      'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
      'actor', context -> 'actor', 'ip', context -> 'ip', 'correlation_id', context -> 'correlation_id',
      'request', context -> 'request', 'action', action, 'outcome', outcome,
      'target', jsonb_build_object('type', target_type, 'id', target_id),
      'before', before, 'after', after))::text);
END $$;

-- A table's changes become entries. Arguments: the target's type; the column that names it; columns that are secrets, of
-- which only whether they are set is told; columns whose change alone is not worth an entry; lists with commas.
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  secrets text[] := string_to_array(coalesce(TG_ARGV[2], ''), ',');
  unworthy text[] := string_to_array(coalesce(TG_ARGV[3], ''), ',') || '{updated_at}'::text[];
  old_row jsonb := CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END;
  new_row jsonb := CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END;
  row_now jsonb := coalesce(new_row, old_row);
  tenant uuid;
  verb text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END;
  old_shown jsonb;
  new_shown jsonb;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    SELECT jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, new_row -> o.key) INTO old_shown, new_shown
    FROM jsonb_each(old_row) o WHERE o.value IS DISTINCT FROM new_row -> o.key AND NOT o.key = ANY (unworthy);
    IF new_shown IS NULL THEN RETURN NULL; END IF;
  ELSE
    old_shown := old_row;
    new_shown := new_row;
  END IF;
  -- A tenant is its own; a row of the platform's is nobody's.
  tenant := coalesce(CASE WHEN TG_TABLE_NAME = 'tenants' THEN row_now ->> 'id' ELSE row_now ->> 'tenant_id' END,
    '00000000-0000-0000-0000-000000000000')::uuid;
  PERFORM audit_add(tenant, TG_ARGV[0] || '.' || verb, TG_ARGV[0], row_now ->> TG_ARGV[1], 'done',
    audit_without_secrets(old_shown, secrets), audit_without_secrets(new_shown, secrets));
  RETURN NULL;
END $$;

CREATE FUNCTION audit_without_secrets(shown jsonb, secrets text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE
  RETURN (SELECT jsonb_object_agg(key, CASE
      WHEN key = ANY (secrets) AND value <> 'null'::jsonb THEN '"[secret]"'::jsonb
      -- Long texts are told by their beginning: the log says that they changed, it is no second store of them.
      WHEN length(value::text) > 2000 THEN to_jsonb(left(value::text, 2000) || '…')
      ELSE value END)
    FROM jsonb_each(shown));

-- Which tables are watched, and how.
CREATE PROCEDURE audit_table(target regclass, target_type text, id_column text, secrets text DEFAULT '', unworthy text DEFAULT '')
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW
    EXECUTE FUNCTION audit_change(%L, %L, %L, %L)', target, target_type, id_column, secrets, unworthy);
END $$;
REVOKE ALL ON PROCEDURE audit_table FROM PUBLIC;

CALL audit_table('tenants', 'tenant', 'id');
CALL audit_table('users', 'user', 'id', 'password_hash', 'failed_sign_ins,locked_until');
CALL audit_table('api_keys', 'api_key', 'id', 'key_hash', 'last_used_at');
CALL audit_table('providers', 'provider', 'id', 'sealed_key,sealed_keys', 'revision');
CALL audit_table('model_routes', 'route', 'id');
-- A document's way through the ingest is no deed of anybody's.
CALL audit_table('documents', 'document', 'id', '',
  'status,reason,detail,warnings,attempts,searchable_version,content_type,text_length,chunk_count');
CALL audit_table('limit_tiers', 'limit_tier', 'tier');
CALL audit_table('limit_rules', 'limit_rule', 'id');
CALL audit_table('budgets', 'budget', 'id');
CALL audit_table('cost_alerts', 'cost_alert', 'id');
CALL audit_table('price_overrides', 'price', 'id');
CALL audit_table('discounts', 'discount', 'id');
CALL audit_table('invoices', 'invoice', 'id');
CALL audit_table('reconciliations', 'reconciliation', 'id');
CALL audit_table('notification_channels', 'notification_channel', 'id', 'sealed_target');
CALL audit_table('notification_secrets', 'notification_secret', 'id', 'sealed');
-- What repricing adds by the thousand is one deed, and each row says itself who did it, when and why.
CREATE TRIGGER audited AFTER INSERT ON ledger_adjustments FOR EACH ROW WHEN (NEW.kind <> 'reprice')
  EXECUTE FUNCTION audit_change('adjustment', 'id');
