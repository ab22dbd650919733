-- Up Migration

-- How much may be spent in a day, week or month of the tenant's time zone, by whom or on what.
CREATE TABLE budgets (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  scope text NOT NULL CHECK (scope IN ('tenant', 'user', 'key', 'prompt', 'model', 'tag')),
  -- What of that scope: a user's or key's id, a prompt, a model's or route's name, a tag. Null: all of the tenant.
  scope_id text CHECK (length(scope_id) BETWEEN 1 AND 300),
  period text NOT NULL CHECK (period IN ('day', 'week', 'month')),
  -- At most 9,000,000 dollars: counters compute with numbers below 2^53.
  limit_nano_usd bigint NOT NULL CHECK (limit_nano_usd BETWEEN 1 AND 9000000000000000),
  alert_threshold_percent integer NOT NULL DEFAULT 80 CHECK (alert_threshold_percent BETWEEN 1 AND 100),
  -- True: calls that do not fit are refused. False: it only alerts.
  hard_limit boolean NOT NULL DEFAULT false,
  -- Since when it is hard without a break: what was spent before is read from the ledger anew. Null exactly when it is not.
  hard_since timestamptz,
  -- What happens under a hard limit to a call whose model has no price.
  on_unpriced text NOT NULL DEFAULT 'allow' CHECK (on_unpriced IN ('allow', 'refuse')),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT tenant_scope_names_nothing CHECK ((scope = 'tenant') = (scope_id IS NULL)),
  CONSTRAINT hard_has_a_beginning CHECK (hard_limit = (hard_since IS NOT NULL))
);
CREATE UNIQUE INDEX budgets_once ON budgets (tenant_id, scope, scope_id, period) NULLS NOT DISTINCT;
CREATE INDEX budgets_listing ON budgets (tenant_id, created_at DESC, id DESC);
CALL protect_tenant_table('budgets', 'SELECT, INSERT, UPDATE, DELETE');

-- Every instance keeps budgets in memory and reads a tenant's again on any change of them.
CREATE FUNCTION notify_budgets_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM pg_notify('budgets_changed', OLD.tenant_id::text);
  ELSE
    PERFORM pg_notify('budgets_changed', NEW.tenant_id::text);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON budgets
  FOR EACH ROW EXECUTE FUNCTION notify_budgets_changed();
