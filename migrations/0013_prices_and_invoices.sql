-- Up Migration

-- Prices that hold instead of the catalogue's, and discounts on whichever price holds. Those without a tenant are the
-- platform's and hold for every tenant that has none of its own. Rows are dated and never changed: a later one takes
-- over, and one that was a mistake is withdrawn, which is the one thing that may be written to it.
CREATE TABLE price_overrides (
  id uuid PRIMARY KEY,
  tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
  -- The provider's name here, not the catalogue's.
  provider text NOT NULL CHECK (length(provider) BETWEEN 1 AND 63),
  -- A model's name, or the beginning of names and a `*`.
  model text NOT NULL CHECK (length(model) BETWEEN 1 AND 200),
  effective_from timestamptz NOT NULL,
  -- US dollars as decimal strings, by the catalogue's own names: {"input_mtok": "0.15", …}, as in model_prices.
  components jsonb NOT NULL CHECK (jsonb_typeof(components) = 'object' AND components <> '{}'),
  reason text CHECK (length(reason) BETWEEN 1 AND 500),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  withdrawn_by text,
  withdrawn_at timestamptz
);
CREATE INDEX price_overrides_listing ON price_overrides (tenant_id, created_at DESC, id DESC);

CREATE TABLE discounts (
  id uuid PRIMARY KEY,
  tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
  -- Null: every provider; then model is null, too, and stands for every model.
  provider text CHECK (length(provider) BETWEEN 1 AND 63),
  model text CHECK (length(model) BETWEEN 1 AND 200),
  percent numeric(7, 4) NOT NULL CHECK (percent > 0 AND percent <= 100),
  effective_from timestamptz NOT NULL,
  effective_to timestamptz CHECK (effective_to > effective_from),
  reason text CHECK (length(reason) BETWEEN 1 AND 500),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  withdrawn_by text,
  withdrawn_at timestamptz,
  CHECK (provider IS NOT NULL OR model IS NULL)
);
CREATE INDEX discounts_listing ON discounts (tenant_id, created_at DESC, id DESC);

CREATE FUNCTION only_withdrawn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF to_jsonb(OLD) - 'withdrawn_by' - 'withdrawn_at' <> to_jsonb(NEW) - 'withdrawn_by' - 'withdrawn_at'
    OR OLD.withdrawn_at IS NOT NULL THEN
    RAISE EXCEPTION 'prices and discounts are never changed; add a later one' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION notify_prices_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('prices_changed', TG_TABLE_NAME);
  RETURN NULL;
END $$;

-- Reading is wider than writing, as with providers.
DO $$
DECLARE target text;
BEGIN
  FOREACH target IN ARRAY ARRAY['price_overrides', 'discounts'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY visible ON %I FOR SELECT TO gatehouse_app
      USING (tenant_id = (SELECT current_tenant()) OR tenant_id IS NULL AND (SELECT current_tenant()) IS NOT NULL)', target);
    EXECUTE format('CREATE POLICY tenant_adds ON %I FOR INSERT TO gatehouse_app
      WITH CHECK (tenant_id = (SELECT current_tenant()))', target);
    EXECUTE format('CREATE POLICY tenant_withdraws ON %I FOR UPDATE TO gatehouse_app
      USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()))', target);
    EXECUTE format('CREATE POLICY platform ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', target);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (withdrawn_by, withdrawn_at) ON %I TO gatehouse_app', target);
    EXECUTE format('CREATE TRIGGER only_withdrawn BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION only_withdrawn()', target);
    EXECUTE format('CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON %I
      FOR EACH STATEMENT EXECUTE FUNCTION notify_prices_changed()', target);
  END LOOP;
END $$;

-- A discounted price is a price of its own: the components before the discount, and what was taken off.
ALTER TABLE model_prices
  ADD COLUMN discount_id uuid,
  ADD COLUMN discount_percent numeric(7, 4) CHECK (discount_percent > 0 AND discount_percent <= 100);

-- What is added to or taken from the ledger's sums afterwards: a row that was computed anew with the price that should
-- have held, a credit, a correction. Never changed, as the ledger is not; a mistake is corrected by a further one.
CREATE TABLE ledger_adjustments (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  -- The time it counts for: the ledger row's.
  at timestamptz NOT NULL,
  kind text NOT NULL CHECK (kind IN ('reprice', 'credit', 'correction')),
  -- The row it is about; null: about none in particular. No foreign key, so that rows can be archived by themselves.
  ledger_id uuid,
  -- The row's own facts, so that a breakdown adds it where the row is; null, and no tags, where it is about no row.
  operation text,
  route text,
  provider text,
  model text,
  tier text,
  key_id text,
  user_id uuid,
  prompt_id text,
  tags text[] NOT NULL DEFAULT '{}',
  delta_nano_usd bigint NOT NULL,
  -- The row had no price before this one: it is unpriced no longer. Its delta, which may be 0, is its whole cost.
  priced_now boolean NOT NULL DEFAULT false,
  -- The price that it is computed with; null for credits and corrections.
  price_id text REFERENCES model_prices (id),
  price_version text,
  reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
  -- Adjustments that were made together.
  batch_id uuid NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  -- The transaction that added it, as in the ledger: rollups take each exactly once by it.
  added_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CONSTRAINT reprice_names_row_and_price CHECK (kind <> 'reprice' OR (ledger_id IS NOT NULL AND price_id IS NOT NULL)),
  CONSTRAINT only_a_reprice_prices CHECK (kind = 'reprice' OR NOT priced_now),
  CONSTRAINT adjusts_something CHECK (delta_nano_usd <> 0 OR priced_now)
);
CREATE INDEX ledger_adjustments_listing ON ledger_adjustments (tenant_id, created_at DESC, id DESC);
CREATE INDEX ledger_adjustments_at ON ledger_adjustments (tenant_id, at);
CREATE INDEX ledger_adjustments_row ON ledger_adjustments (ledger_id) WHERE ledger_id IS NOT NULL;
CREATE INDEX ledger_adjustments_added_by ON ledger_adjustments (added_by);
CALL protect_tenant_table('ledger_adjustments', 'SELECT, INSERT');
CREATE TRIGGER never_updated BEFORE UPDATE ON ledger_adjustments
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_update();

-- Issued invoices, one a month and tenant. The next one begins where the last one ended, whatever became of the time zone.
CREATE TABLE invoices (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  number text NOT NULL UNIQUE,
  month text NOT NULL CHECK (month ~ '^\d{4}-(0[1-9]|1[0-2])$'),
  time_zone text NOT NULL,
  period_start timestamptz NOT NULL,
  period_end timestamptz NOT NULL CHECK (period_end > period_start),
  -- The tenant as it was called on the day.
  tenant_name text NOT NULL,
  tenant_slug text NOT NULL,
  -- The exact sum of the lines, and what is asked for: that, rounded half up to the cent once.
  exact_nano_usd bigint NOT NULL,
  total_cents bigint NOT NULL,
  lines jsonb NOT NULL CHECK (jsonb_typeof(lines) = 'array'),
  issued_at timestamptz NOT NULL,
  UNIQUE (tenant_id, month)
);
CREATE INDEX invoices_listing ON invoices (tenant_id, period_start DESC, id DESC);
CALL protect_tenant_table('invoices', 'SELECT');
CREATE FUNCTION refuse_invoice_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'an issued invoice is never changed; what comes later is on the next' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER never_updated BEFORE UPDATE ON invoices FOR EACH STATEMENT EXECUTE FUNCTION refuse_invoice_update();

-- Which invoice asked for an adjustment: each is on one invoice, also one for a month whose invoice was issued before.
CREATE TABLE invoiced_adjustments (
  adjustment_id uuid PRIMARY KEY REFERENCES ledger_adjustments (id) ON DELETE CASCADE,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  invoice_id uuid NOT NULL REFERENCES invoices (id) ON DELETE CASCADE
);
CREATE INDEX invoiced_adjustments_invoice ON invoiced_adjustments (invoice_id);
CALL protect_tenant_table('invoiced_adjustments', 'SELECT');

-- A provider's own account of what was used, compared with the ledger: with a tenant's calls, or, without a tenant, with all
-- that went to the platform's provider. Those are for the platform only.
CREATE TABLE reconciliations (
  id uuid PRIMARY KEY,
  tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
  -- Which of the forms it was uploaded in, such as `openai-usage-json`.
  format text NOT NULL,
  -- The name of the provider here that it was compared with.
  provider text NOT NULL,
  period_start timestamptz NOT NULL,
  period_end timestamptz NOT NULL CHECK (period_end > period_start),
  tolerance_percent numeric(7, 4) NOT NULL CHECK (tolerance_percent >= 0 AND tolerance_percent <= 100),
  within_tolerance boolean NOT NULL,
  totals jsonb NOT NULL,
  -- By model and UTC day.
  lines jsonb NOT NULL CHECK (jsonb_typeof(lines) = 'array'),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX reconciliations_listing ON reconciliations (tenant_id, created_at DESC, id DESC);
CALL protect_tenant_table('reconciliations', 'SELECT, INSERT');
