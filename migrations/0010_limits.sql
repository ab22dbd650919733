-- Up Migration

-- What a tenant has instead of its tier's figures: {"queries_per_second": 50, "tokens_per_day": null, …}, null for
-- unlimited. Past its time it counts for nothing, and nobody has to remove it.
ALTER TABLE tenants
  ADD COLUMN limits jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object'),
  ADD COLUMN limits_expire_at timestamptz;
DROP TRIGGER changed ON tenants;
CREATE TRIGGER changed
  AFTER INSERT OR UPDATE OF name, slug, tier, region, status, time_zone, limits, limits_expire_at OR DELETE ON tenants
  FOR EACH ROW EXECUTE FUNCTION notify_access_changed();

-- A tier's figures that the platform's owner has set, over those of the configuration and the built-in ones.
CREATE TABLE limit_tiers (
  tier text PRIMARY KEY CHECK (tier IN ('free', 'starter', 'professional', 'enterprise')),
  figures jsonb NOT NULL CHECK (jsonb_typeof(figures) = 'object'),
  updated_by text NOT NULL,
  updated_at timestamptz NOT NULL
);

-- Further limits of a tenant's own. A subject of * means: each one of its own.
CREATE TABLE limit_rules (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  scope text NOT NULL CHECK (scope IN ('ip', 'user', 'key', 'route', 'model')),
  subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
  figures jsonb NOT NULL CHECK (jsonb_typeof(figures) = 'object'),
  expires_at timestamptz,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (tenant_id, scope, subject)
);
CREATE INDEX limit_rules_tenant ON limit_rules (tenant_id, created_at DESC, id DESC);
CALL protect_tenant_table('limit_rules', 'SELECT, INSERT, UPDATE, DELETE');

-- Every instance keeps them in memory and hears of changes here: which tenant's rules, or that tiers changed.
CREATE FUNCTION notify_limits_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'limit_tiers' THEN
    PERFORM pg_notify('limits_changed', 'tiers');
  ELSIF TG_OP = 'DELETE' THEN
    PERFORM pg_notify('limits_changed', OLD.tenant_id::text);
  ELSE
    PERFORM pg_notify('limits_changed', NEW.tenant_id::text);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON limit_tiers
  FOR EACH ROW EXECUTE FUNCTION notify_limits_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON limit_rules
  FOR EACH ROW EXECUTE FUNCTION notify_limits_changed();
