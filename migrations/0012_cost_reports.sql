-- Up Migration

-- Rollups: sums of ledger rows and adjustments by span of time and by what they are about. Derived, and rebuilt from the
-- ledger by emptying this table and setting the horizon back.
CREATE TABLE cost_rollups (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  -- `all`, `user`, `key`, …: what the value is of. See src/costs/reports/dimensions.ts.
  dimension text NOT NULL,
  grain text NOT NULL CHECK (grain IN ('quarter', 'hour', 'day', 'month')),
  -- The beginning of the span, in UTC.
  bucket timestamptz NOT NULL,
  -- Null: rows that have none, and the one value of `all`.
  value text,
  calls bigint NOT NULL,
  cost_nano_usd bigint NOT NULL,
  input_tokens bigint NOT NULL,
  cached_read_tokens bigint NOT NULL,
  cache_write_5m_tokens bigint NOT NULL,
  cache_write_1h_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  image_tokens bigint NOT NULL,
  audio_tokens bigint NOT NULL,
  earlier_attempts bigint NOT NULL,
  earlier_cost_nano_usd bigint NOT NULL,
  cached_calls bigint NOT NULL,
  saved_nano_usd bigint NOT NULL,
  unpriced_calls bigint NOT NULL,
  unpriced_tokens bigint NOT NULL,
  adjustments_nano_usd bigint NOT NULL
-- Room in each page, so that adding to a sum stays in it and touches no index.
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX cost_rollups_once ON cost_rollups (tenant_id, dimension, grain, bucket, value) NULLS NOT DISTINCT;
CREATE INDEX cost_rollups_hours ON cost_rollups (bucket) WHERE grain = 'hour' AND dimension <> 'all';
CALL protect_tenant_table('cost_rollups', 'SELECT');

-- Up to where rollups hold the ledger and its adjustments: every row whose (added_by, id) is at most this, and no other.
-- One row; whoever moves the horizon has it locked. It tells nothing of any tenant.
CREATE TABLE cost_rollup_horizon (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  ledger_added_by xid8 NOT NULL DEFAULT '0',
  ledger_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  adjustments_added_by xid8 NOT NULL DEFAULT '0',
  adjustments_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  -- Rollups of a dimension by the hour are kept from here on; before, there are those by the day and the month.
  hours_since timestamptz NOT NULL DEFAULT '-infinity',
  moved_at timestamptz
);
INSERT INTO cost_rollup_horizon DEFAULT VALUES;
GRANT SELECT ON cost_rollup_horizon TO gatehouse_app;

-- The order in which rows are taken: rows of one transaction, however many, in parts. Takes the place of the index by
-- added_by alone.
CREATE INDEX ledger_taken ON ledger (added_by, id);
DROP INDEX ledger_added_by;

-- What people should look at. Written once for each dedupe key; only the acknowledgement is added later.
CREATE TABLE cost_alerts (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('threshold', 'spike', 'forecast', 'unpriced')),
  severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
  -- What it is about: `budget:<id>`, `hour`, `day`, `model:<name>`.
  subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 320),
  dedupe_key text NOT NULL CHECK (length(dedupe_key) BETWEEN 1 AND 300),
  title text NOT NULL,
  text text NOT NULL,
  -- The figures that it was raised on, money as decimal strings.
  data jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  acknowledged_by text,
  acknowledged_at timestamptz,
  CONSTRAINT acknowledged_by_somebody CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL)),
  UNIQUE (tenant_id, dedupe_key)
);
CREATE INDEX cost_alerts_listing ON cost_alerts (tenant_id, created_at DESC, id DESC);
CALL protect_tenant_table('cost_alerts', 'SELECT, INSERT');
GRANT UPDATE (acknowledged_by, acknowledged_at) ON cost_alerts TO gatehouse_app;

-- Tenants whose alerts are to be looked at, because rows were rolled up or a budget changed since.
CREATE TABLE cost_alert_checks (
  tenant_id uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
  due_since timestamptz NOT NULL
);
CALL protect_tenant_table('cost_alert_checks', 'SELECT, INSERT, DELETE');

CREATE FUNCTION budget_changed_check_alerts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO cost_alert_checks (tenant_id, due_since) VALUES (NEW.tenant_id, clock_timestamp())
    ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER check_alerts AFTER INSERT OR UPDATE ON budgets
  FOR EACH ROW EXECUTE FUNCTION budget_changed_check_alerts();
