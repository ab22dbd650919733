-- Up Migration

-- The keys that sign access tokens (ACC-3), several at a time: one is published before it signs, and stays until what it
-- signed has ended. The private half is sealed for this very row (purpose `token-signing-key:<id>`).
CREATE TABLE token_signing_keys (
  id text PRIMARY KEY,
  public_key jsonb NOT NULL,
  sealed_private_key text NOT NULL,
  created_at timestamptz NOT NULL,
  signs_from timestamptz NOT NULL,
  -- Null until another is made that signs in its place.
  verifies_until timestamptz
);
CALL audit_table('token_signing_keys', 'token_signing_key', 'id', 'sealed_private_key');

-- One sign-in, and the refresh tokens that follow from it: each is used once and gives the next.
CREATE TABLE token_families (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  -- `reused`: a token was presented a second time, so somebody has a copy.
  end_reason text CHECK (end_reason IN ('revoked', 'reused')),
  CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX token_families_user ON token_families (user_id, created_at DESC);
CREATE INDEX token_families_expiry ON token_families (expires_at);
CALL protect_tenant_table('token_families', 'SELECT, INSERT, UPDATE');
-- That a family is swept away when it has expired is nobody's deed.
CREATE TRIGGER audited AFTER INSERT OR UPDATE ON token_families FOR EACH ROW
  EXECUTE FUNCTION audit_change('token_family', 'id');

-- SHA-256 of 256 random bits. Used ones stay as long as their family, so that a copy is recognised.
CREATE TABLE refresh_tokens (
  token_hash bytea PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  family_id uuid NOT NULL REFERENCES token_families (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CALL protect_tenant_table('refresh_tokens', 'SELECT, INSERT, UPDATE');

-- Access tokens that are refused although they have not expired. A row is needed for as long as such a token could live.
CREATE TABLE token_revocations (
  tenant_id uuid NOT NULL,
  -- token: one, by its jti; family: all of one sign-in; user: those of an epoch before `before`; tenant: those made before
  -- `before`, in milliseconds since 1970.
  kind text NOT NULL CHECK (kind IN ('token', 'family', 'user', 'tenant')),
  subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
  before bigint NOT NULL DEFAULT 0,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, kind, subject)
);
CREATE INDEX token_revocations_expiry ON token_revocations (expires_at);
CALL protect_tenant_table('token_revocations', 'SELECT, INSERT, UPDATE');
CREATE TRIGGER audited AFTER INSERT OR UPDATE ON token_revocations FOR EACH ROW
  EXECUTE FUNCTION audit_change('token_revocation', 'subject');

-- Instances learn all that they need from the notification itself, so that no read stands between.
CREATE FUNCTION notify_token_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('tokens_changed', json_build_object('tenant', NEW.tenant_id, 'kind', NEW.kind, 'subject', NEW.subject,
    'before', NEW.before, 'expires', extract(epoch FROM NEW.expires_at) * 1000)::text);
  RETURN NULL;
END $$;
CREATE TRIGGER told AFTER INSERT OR UPDATE ON token_revocations FOR EACH ROW EXECUTE FUNCTION notify_token_revoked();

CREATE FUNCTION notify_tokens_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('tokens_changed', TG_TABLE_NAME);
  RETURN NULL;
END $$;
CREATE TRIGGER told AFTER INSERT OR UPDATE OR DELETE ON token_signing_keys
  FOR EACH STATEMENT EXECUTE FUNCTION notify_tokens_changed();

-- A token says who its user was when it was made. Whatever of that changes ends all tokens of that user made before, in
-- the transaction that changes it. The epoch is part of the token, so that no clock decides what came first.
ALTER TABLE users ADD COLUMN token_epoch bigint NOT NULL DEFAULT 0;
CREATE FUNCTION end_tokens_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  telling text[] := '{role,groups,attributes,password_hash,disabled_at,tenant_id}';
  row_now jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}'::jsonb ELSE to_jsonb(NEW) END;
  same boolean := (SELECT bool_and(row_now -> key IS NOT DISTINCT FROM to_jsonb(OLD) -> key) FROM unnest(telling) key);
BEGIN
  IF same THEN RETURN NEW; END IF;
  INSERT INTO token_revocations AS known (tenant_id, kind, subject, before, expires_at)
  VALUES (OLD.tenant_id, 'user', OLD.id::text, OLD.token_epoch + 1, now() + interval '1 hour')
  ON CONFLICT (tenant_id, kind, subject)
  DO UPDATE SET before = greatest(known.before, excluded.before), expires_at = excluded.expires_at;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  -- Whoever had the old password, or was shut out, makes no new ones of what they hold either.
  IF NEW.password_hash IS DISTINCT FROM OLD.password_hash OR NEW.disabled_at IS NOT NULL THEN
    UPDATE token_families SET ended_at = now(), end_reason = 'revoked' WHERE user_id = OLD.id AND ended_at IS NULL;
  END IF;
  NEW.token_epoch := OLD.token_epoch + 1;
  RETURN NEW;
END $$;
CREATE TRIGGER tokens_end BEFORE UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION end_tokens_of_user();
-- The epoch alone tells nothing that the change beside it does not tell.
DROP TRIGGER audited ON users;
CALL audit_table('users', 'user', 'id', 'password_hash', 'failed_sign_ins,locked_until,token_epoch');

-- Issuers elsewhere whose tokens are accepted; without a tenant they are the platform's.
CREATE TABLE token_issuers (
  id uuid PRIMARY KEY,
  tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
  name text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
  issuer text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 500),
  audiences text[] NOT NULL CHECK (cardinality(audiences) BETWEEN 1 AND 20),
  -- Null: what the issuer's own description says (OpenID Connect Discovery).
  jwks_uri text CHECK (length(jwks_uri) BETWEEN 1 AND 1000),
  algorithms text[] NOT NULL CHECK (cardinality(algorithms) BETWEEN 1 AND 10),
  -- Which claim is what, and what its values mean here.
  mapping jsonb NOT NULL CHECK (jsonb_typeof(mapping) = 'object'),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE NULLS NOT DISTINCT (tenant_id, name)
);
CALL protect_tenant_table('token_issuers', 'SELECT, INSERT, UPDATE, DELETE');
CALL audit_table('token_issuers', 'token_issuer', 'name');
CREATE TRIGGER told AFTER INSERT OR UPDATE OR DELETE ON token_issuers
  FOR EACH STATEMENT EXECUTE FUNCTION notify_tokens_changed();

-- Where a key may be used from (addresses and ranges) and for which models; none: from anywhere, for all. A key that was
-- rotated keeps its id, and its former secret for a while.
ALTER TABLE api_keys
  ADD COLUMN ip_allow_list text[] NOT NULL DEFAULT '{}' CHECK (cardinality(ip_allow_list) <= 100),
  ADD COLUMN model_allow_list text[] NOT NULL DEFAULT '{}' CHECK (cardinality(model_allow_list) <= 100),
  ADD COLUMN rotated_at timestamptz,
  ADD COLUMN previous_key_hash bytea UNIQUE,
  ADD COLUMN previous_expires_at timestamptz,
  ADD CHECK ((previous_key_hash IS NULL) = (previous_expires_at IS NULL));
ALTER TABLE tenants
  ADD COLUMN ip_allow_list text[] NOT NULL DEFAULT '{}' CHECK (cardinality(ip_allow_list) <= 100);
CREATE TRIGGER restricted AFTER UPDATE OF ip_allow_list, model_allow_list, previous_key_hash, previous_expires_at ON api_keys
  FOR EACH ROW EXECUTE FUNCTION notify_access_changed();
CREATE TRIGGER restricted AFTER UPDATE OF ip_allow_list ON tenants FOR EACH ROW EXECUTE FUNCTION notify_access_changed();
DROP TRIGGER audited ON api_keys;
CALL audit_table('api_keys', 'api_key', 'id', 'key_hash,previous_key_hash', 'last_used_at');
