-- Up Migration

-- A reference may be given wherever a secret is taken (ACC-9). What is sealed counts; these say to people what was given.
ALTER TABLE notification_secrets ADD COLUMN reference text CHECK (length(reference) <= 5000);
GRANT SELECT (reference) ON notification_secrets TO gatehouse_app;
ALTER TABLE identity_providers ADD COLUMN client_secret_reference text CHECK (length(client_secret_reference) <= 5000);
ALTER TABLE audit_destinations ADD COLUMN secret_reference text CHECK (length(secret_reference) <= 5000);

-- One key signs the log at a time, and the private half of a retired one is gone (AUD-2). Where two instances that started
-- at once had each made one, the younger stays.
ALTER TABLE audit_keys ALTER COLUMN sealed_private_key DROP NOT NULL;
UPDATE audit_keys k SET retired_at = now(), sealed_private_key = NULL
WHERE retired_at IS NULL AND EXISTS (
  SELECT FROM audit_keys o WHERE o.retired_at IS NULL AND (o.created_at, o.id) > (k.created_at, k.id));
ALTER TABLE audit_keys ADD CONSTRAINT retired_keys_are_gone CHECK ((retired_at IS NULL) = (sealed_private_key IS NOT NULL));
CREATE UNIQUE INDEX audit_keys_signing ON audit_keys ((true)) WHERE retired_at IS NULL;
CALL audit_table('audit_keys', 'audit_key', 'id', 'sealed_private_key');

-- A process that has not heard that its key was retired signs nothing with it, either.
CREATE FUNCTION refuse_retired_audit_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM audit_keys WHERE id = NEW.key_id AND NEW.at <= coalesce(retired_at, 'infinity')) THEN
    RAISE EXCEPTION 'the audit key % is retired, or none', NEW.key_id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER signed_by_a_key_in_use AFTER INSERT ON audit_heads FOR EACH ROW EXECUTE FUNCTION refuse_retired_audit_key();

-- Tenants whose data keys are wrapped by a key of their own (GOV-4): the engine, a colon, and the key's name there.
CREATE TABLE tenant_encryption_keys (
  tenant_id uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
  kek text NOT NULL CHECK (length(kek) BETWEEN 3 AND 1000),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CALL protect_tenant_table('tenant_encryption_keys', 'SELECT');
CALL audit_table('tenant_encryption_keys', 'encryption_key', 'tenant_id');
