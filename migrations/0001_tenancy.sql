-- Up Migration

-- Two roles. The role that runs migrations owns everything; the application role owns nothing, cannot bypass
-- row-level security, and is what every request runs as.
DO $$
DECLARE
  may_enter boolean;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gatehouse_app') THEN
    CREATE ROLE gatehouse_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
  END IF;
  -- From 16 on, whoever creates a role administers it, and may not yet enter it.
  EXECUTE format('SELECT pg_has_role(current_user, %L, %L)', 'gatehouse_app',
    CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) INTO may_enter;
  IF NOT may_enter THEN
    EXECUTE format('GRANT gatehouse_app TO %I', current_user);
  END IF;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO gatehouse_app;

-- What a transaction is for; set by inTenant() with set_config(…, true). Unset means: no rows at all.
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('gatehouse.tenant_id', true), '')::uuid;

CREATE FUNCTION current_reader_tokens() RETURNS text[] LANGUAGE sql STABLE PARALLEL SAFE
  RETURN ARRAY(SELECT jsonb_array_elements_text(
    coalesce(nullif(current_setting('gatehouse.reader_tokens', true), ''), '[]')::jsonb));

-- Puts a tenant-owned table behind row-level security: every migration that makes one calls this, and a test fails
-- on any table with a tenant_id that did not. The owner role gets a policy of its own, because FORCE applies to it too.
CREATE PROCEDURE protect_tenant_table(target regclass, application_privileges text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
  EXECUTE format('CREATE POLICY tenant ON %s TO gatehouse_app
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()))', target);
  EXECUTE format('CREATE POLICY platform ON %s TO CURRENT_USER USING (true) WITH CHECK (true)', target);
  EXECUTE format('GRANT %s ON %s TO gatehouse_app', application_privileges, target);
END $$;
REVOKE ALL ON PROCEDURE protect_tenant_table FROM PUBLIC;

-- Facts about this installation: which master key sealed its secrets, whether first boot is done.
CREATE TABLE platform_settings (
  name text PRIMARY KEY,
  value jsonb NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE tenants (
  id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  tier text NOT NULL CHECK (tier IN ('free', 'starter', 'professional', 'enterprise')),
  region text NOT NULL CHECK (region IN ('eu', 'us', 'apac')),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tenants FOR SELECT TO gatehouse_app USING (id = (SELECT current_tenant()));
CREATE POLICY platform ON tenants TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT SELECT ON tenants TO gatehouse_app;

CREATE TABLE users (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  email text NOT NULL,
  role text NOT NULL,
  groups text[] NOT NULL DEFAULT '{}',
  password_hash text,
  failed_sign_ins integer NOT NULL DEFAULT 0,
  locked_until timestamptz,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_tenant ON users (tenant_id);
CALL protect_tenant_table('users', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE api_keys (
  id text PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  name text NOT NULL,
  -- SHA-256 of the whole key. Keys carry 190 random bits, so a fast hash is enough and no list of words helps.
  key_hash bytea NOT NULL UNIQUE,
  role text NOT NULL,
  groups text[] NOT NULL DEFAULT '{}',
  scopes text[] NOT NULL DEFAULT '{}',
  user_id uuid REFERENCES users (id) ON DELETE CASCADE,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);
CREATE INDEX api_keys_tenant ON api_keys (tenant_id, created_at DESC, id DESC);
CALL protect_tenant_table('api_keys', 'SELECT, INSERT, UPDATE');

-- Every instance keeps tenants and keys in memory and hears of changes here.
CREATE FUNCTION notify_access_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM pg_notify('access_changed', TG_TABLE_NAME || ':' || OLD.id);
  ELSE
    PERFORM pg_notify('access_changed', TG_TABLE_NAME || ':' || NEW.id);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OF name, slug, tier, region, status OR DELETE ON tenants
  FOR EACH ROW EXECUTE FUNCTION notify_access_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OF role, groups, scopes, expires_at, revoked_at, key_hash OR DELETE
  ON api_keys FOR EACH ROW EXECUTE FUNCTION notify_access_changed();
