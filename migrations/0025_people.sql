-- Up Migration

-- Who needs a second factor to sign in. The row without a tenant is the platform's: what holds in tenants that say nothing
-- themselves, and for the platform's owners wherever they are.
CREATE TABLE sign_in_policies (
  id uuid PRIMARY KEY,
  tenant_id uuid UNIQUE NULLS NOT DISTINCT REFERENCES tenants (id) ON DELETE CASCADE,
  require_mfa text NOT NULL CHECK (require_mfa IN ('none', 'privileged', 'all')),
  owners_require_mfa boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL,
  CHECK (tenant_id IS NULL OR NOT owners_require_mfa)
);
CALL protect_tenant_table('sign_in_policies', 'SELECT, INSERT, UPDATE, DELETE');
CALL audit_table('sign_in_policies', 'sign_in_policy', 'id');

-- Whether this very sign-in showed two factors.
ALTER TABLE sessions ADD COLUMN second_factor boolean NOT NULL DEFAULT false;
-- What an issuer says of how it knew somebody counts only where its settings say so: `mfa` among `amr` (RFC 8176), or one of
-- these values of `acr`.
ALTER TABLE identity_providers
  ADD COLUMN trust_mfa boolean NOT NULL DEFAULT false,
  ADD COLUMN mfa_acr_values text[] NOT NULL DEFAULT '{}' CHECK (cardinality(mfa_acr_values) <= 20);

-- What a session may do follows from all of these, so each is looked at again when one changes.
CREATE FUNCTION notify_second_factors_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('sessions_changed', CASE WHEN TG_TABLE_NAME = 'sign_in_policies' THEN 'policy:'
    ELSE 'user:' || (to_jsonb(coalesce(NEW, OLD)) ->> 'user_id') END);
  RETURN NULL;
END $$;
CREATE TRIGGER told AFTER INSERT OR UPDATE OF require_mfa, owners_require_mfa OR DELETE ON sign_in_policies
  FOR EACH ROW EXECUTE FUNCTION notify_second_factors_changed();
CREATE TRIGGER told AFTER INSERT OR UPDATE OF confirmed_at OR DELETE ON totp_secrets
  FOR EACH ROW EXECUTE FUNCTION notify_second_factors_changed();
CREATE TRIGGER told AFTER INSERT OR DELETE ON passkeys
  FOR EACH ROW EXECUTE FUNCTION notify_second_factors_changed();
CREATE TRIGGER told_of_factor AFTER UPDATE OF second_factor ON sessions
  FOR EACH ROW EXECUTE FUNCTION notify_sessions_changed();

-- Ends what a user is signed in with, but for one session: sessions, refresh tokens with the access tokens that came of
-- them, and keys that stand for a sign-in. Keys that somebody made to last stay.
CREATE FUNCTION end_access_of_user(of_user uuid, all_but uuid, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  now_is users;
BEGIN
  UPDATE sessions SET revoked_at = at WHERE user_id = of_user AND revoked_at IS NULL AND id IS DISTINCT FROM all_but;
  UPDATE api_keys SET revoked_at = at WHERE user_id = of_user AND created_by = 'sign-in' AND revoked_at IS NULL;
  UPDATE token_families SET ended_at = at, end_reason = 'revoked' WHERE user_id = of_user AND ended_at IS NULL;
  UPDATE users SET token_epoch = token_epoch + 1 WHERE id = of_user RETURNING * INTO now_is;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO token_revocations AS known (tenant_id, kind, subject, before, expires_at)
  VALUES (now_is.tenant_id, 'user', of_user::text, now_is.token_epoch, now() + interval '1 hour')
  ON CONFLICT (tenant_id, kind, subject)
  DO UPDATE SET before = greatest(known.before, excluded.before), expires_at = excluded.expires_at;
END $$;

-- That somebody reads the mail of an address: shown by a link that was sent there, or said by an issuer.
ALTER TABLE users ADD COLUMN email_verified_at timestamptz;
ALTER TABLE invitations ADD COLUMN mailed_at timestamptz;
ALTER TABLE password_resets ADD COLUMN mailed_at timestamptz;
CREATE TABLE email_verifications (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  -- One at a time: a new link ends the one before.
  user_id uuid NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
  token_hash bytea NOT NULL UNIQUE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CALL protect_tenant_table('email_verifications', 'SELECT');
CALL audit_table('email_verifications', 'email_verification', 'id', 'token_hash');

-- Mail that is due. Its secret is made when it is sent, so that none lies here. Of whoever forgot a password it says the
-- address only, whether or not somebody has it: that is found out when the mail is due, and nobody who asks can tell.
CREATE TABLE mail_due (
  id uuid PRIMARY KEY,
  tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('invitation', 'password_reset', 'email_verification')),
  -- The invitation or user that it is about; null: whoever has the address.
  subject_id uuid,
  email text NOT NULL CHECK (length(email) <= 320),
  attempts integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX mail_due_order ON mail_due (due_at);
CALL protect_tenant_table('mail_due', 'INSERT');
