-- Up Migration

-- People (ACC-2). A user may have no password: then they sign in by an issuer or a passkey.
ALTER TABLE users ADD COLUMN name text CHECK (length(name) BETWEEN 1 AND 200);
ALTER TABLE users ADD COLUMN disabled_at timestamptz;
ALTER TABLE users ADD COLUMN attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object');
CREATE INDEX users_listing ON users (tenant_id, created_at DESC, id DESC);

-- One-time links: only the SHA-256 of what stands in the link is kept. An invitation makes no user before it is accepted,
-- so that inviting an address tells nobody whether another tenant has a user of it.
CREATE TABLE invitations (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  email text NOT NULL,
  role text NOT NULL,
  groups text[] NOT NULL DEFAULT '{}',
  attributes jsonb NOT NULL DEFAULT '{}',
  token_hash bytea NOT NULL UNIQUE,
  invited_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX invitations_email ON invitations (tenant_id, lower(email));
CREATE INDEX invitations_listing ON invitations (tenant_id, created_at DESC, id DESC);
CALL protect_tenant_table('invitations', 'SELECT, INSERT, DELETE');
CALL audit_table('invitations', 'invitation', 'id', 'token_hash');

CREATE TABLE password_resets (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  -- One at a time: a new link ends the one before.
  user_id uuid NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
  token_hash bytea NOT NULL UNIQUE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CALL protect_tenant_table('password_resets', 'SELECT, INSERT, DELETE');
CALL audit_table('password_resets', 'password_reset', 'id', 'token_hash');

-- What a browser presents is 256 random bits, of which this is the SHA-256.
CREATE TABLE sessions (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  token_hash bytea NOT NULL UNIQUE,
  signed_in_by text NOT NULL,
  user_agent text,
  address text,
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX sessions_user ON sessions (user_id, created_at DESC);
CREATE INDEX sessions_expiry ON sessions (expires_at);
CALL protect_tenant_table('sessions', 'SELECT, INSERT, UPDATE');
CALL audit_table('sessions', 'session', 'id', 'token_hash', 'last_seen_at');

-- Instances keep sessions that are in use in memory, and hear here which of them to read again.
CREATE FUNCTION notify_sessions_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('sessions_changed', CASE WHEN TG_TABLE_NAME = 'users' THEN 'user:' ELSE 'session:' END || OLD.id);
  RETURN NULL;
END $$;
CREATE TRIGGER told AFTER UPDATE OF revoked_at, token_hash, expires_at OR DELETE ON sessions
  FOR EACH ROW EXECUTE FUNCTION notify_sessions_changed();
CREATE TRIGGER told AFTER UPDATE OF role, groups, attributes, disabled_at, tenant_id OR DELETE ON users
  FOR EACH ROW EXECUTE FUNCTION notify_sessions_changed();

-- The second factor. `last_step` is the newest 30 s step whose code was used, so that each is used once.
CREATE TABLE totp_secrets (
  user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  sealed_secret text NOT NULL,
  last_step bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  confirmed_at timestamptz
);
CALL protect_tenant_table('totp_secrets', 'SELECT, INSERT, UPDATE, DELETE');
CALL audit_table('totp_secrets', 'totp', 'user_id', 'sealed_secret', 'last_step');

CREATE TABLE recovery_codes (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  code_hash bytea NOT NULL,
  used_at timestamptz,
  UNIQUE (user_id, code_hash)
);
CALL protect_tenant_table('recovery_codes', 'SELECT, INSERT, UPDATE, DELETE');
CALL audit_table('recovery_codes', 'recovery_code', 'id', 'code_hash');

CREATE TABLE passkeys (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  credential_id text NOT NULL UNIQUE,
  public_key bytea NOT NULL,
  -- How often it has signed, as it says itself; one that goes back is a copy.
  counter bigint NOT NULL,
  transports text[] NOT NULL DEFAULT '{}',
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  created_at timestamptz NOT NULL,
  last_used_at timestamptz
);
CREATE INDEX passkeys_user ON passkeys (user_id, created_at);
CALL protect_tenant_table('passkeys', 'SELECT, INSERT, UPDATE, DELETE');
CALL audit_table('passkeys', 'passkey', 'id', '', 'counter,last_used_at');

-- Issuers that vouch for people; without a tenant they are the platform's and may serve all tenants.
CREATE TABLE identity_providers (
  id uuid PRIMARY KEY,
  tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
  name text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('google', 'microsoft', 'github', 'oidc')),
  issuer text NOT NULL,
  client_id text NOT NULL,
  sealed_client_secret text,
  domains text[] NOT NULL DEFAULT '{}',
  trust_email boolean NOT NULL DEFAULT false,
  create_users boolean NOT NULL DEFAULT false,
  default_role text NOT NULL,
  -- Where new users of a platform's issuer go.
  default_tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
  groups_claim text,
  group_map jsonb NOT NULL DEFAULT '{}',
  enabled boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE NULLS NOT DISTINCT (tenant_id, name)
);
CALL protect_tenant_table('identity_providers', 'SELECT, INSERT, UPDATE, DELETE');
CALL audit_table('identity_providers', 'identity_provider', 'id', 'sealed_client_secret');

CREATE TABLE user_identities (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  provider_id uuid NOT NULL REFERENCES identity_providers (id) ON DELETE CASCADE,
  subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 300),
  created_at timestamptz NOT NULL,
  UNIQUE (provider_id, subject)
);
CREATE INDEX user_identities_user ON user_identities (user_id);
CALL protect_tenant_table('user_identities', 'SELECT, INSERT, DELETE');
CALL audit_table('user_identities', 'user_identity', 'id');

-- Sign-ins under way: taken out when they go on, so each is used once. `id` is the SHA-256 of what the browser or client
-- holds. The platform's: nobody is signed in yet.
CREATE TABLE sign_ins_under_way (
  id bytea PRIMARY KEY,
  kind text NOT NULL,
  -- Sealed where it holds secrets.
  state jsonb NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  expires_at timestamptz NOT NULL
);
CREATE INDEX sign_ins_under_way_expiry ON sign_ins_under_way (expires_at);

-- Tries at signing in, counted by what they are counted by (SHA-256 of it, so that no addresses lie about).
CREATE TABLE sign_in_tries (
  counted_by bytea PRIMARY KEY,
  tries integer NOT NULL,
  last_at timestamptz NOT NULL,
  locked_until timestamptz
);
CREATE INDEX sign_in_tries_age ON sign_in_tries (last_at);

-- Networks from which a user has signed in: a stranger's wrong passwords do not keep their owner out there.
CREATE TABLE known_networks (
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  network_hash bytea NOT NULL,
  last_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, network_hash)
);
