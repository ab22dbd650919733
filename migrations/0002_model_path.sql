-- Up Migration

-- Providers and routes belong to the platform (tenant_id is null: the default, visible to every tenant) or to a tenant,
-- whose own wins by name. They cannot use protect_tenant_table, because reading is wider than writing.
CREATE TABLE providers (
  id uuid PRIMARY KEY,
  tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
  name text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
  kind text NOT NULL CHECK (kind IN ('openai')),
  base_url text NOT NULL,
  -- Encrypted for this very row (purpose `provider:<id>`); null for a server that asks for no key.
  sealed_key text,
  -- The key's last four characters, when it is long enough for them to tell nothing.
  key_hint text,
  -- Whether it may point at this machine and its link-local neighbours: only what an owner set up may.
  local_addresses_allowed boolean NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX providers_name ON providers (tenant_id, name) NULLS NOT DISTINCT;

CREATE TABLE model_routes (
  id uuid PRIMARY KEY,
  tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  -- [{"targets": [{"provider": name, "model": name, "weight": number}]}], in the order in which they are tried.
  tiers jsonb NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX model_routes_name ON model_routes (tenant_id, name) NULLS NOT DISTINCT;

DO $$
DECLARE target text;
BEGIN
  FOREACH target IN ARRAY ARRAY['providers', 'model_routes'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY visible ON %I FOR SELECT TO gatehouse_app
      USING (tenant_id = (SELECT current_tenant()) OR tenant_id IS NULL)', target);
    EXECUTE format('CREATE POLICY tenant_adds ON %I FOR INSERT TO gatehouse_app
      WITH CHECK (tenant_id = (SELECT current_tenant()))', target);
    EXECUTE format('CREATE POLICY tenant_changes ON %I FOR UPDATE TO gatehouse_app
      USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()))', target);
    EXECUTE format('CREATE POLICY tenant_removes ON %I FOR DELETE TO gatehouse_app
      USING (tenant_id = (SELECT current_tenant()))', target);
    EXECUTE format('CREATE POLICY platform ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', target);
  END LOOP;
END $$;
-- The application role stores sealed keys and never reads one back: only the platform opens them, into memory.
GRANT SELECT (id, tenant_id, name, kind, base_url, key_hint, local_addresses_allowed, created_by, created_at)
  ON providers TO gatehouse_app;
GRANT INSERT, DELETE ON providers TO gatehouse_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON model_routes TO gatehouse_app;

-- Every instance keeps providers and routes in memory and reads them again on any change.
CREATE FUNCTION notify_routing_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('routing_changed', TG_TABLE_NAME);
  RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON providers
  FOR EACH STATEMENT EXECUTE FUNCTION notify_routing_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON model_routes
  FOR EACH STATEMENT EXECUTE FUNCTION notify_routing_changed();

-- Every price that a ledger row was computed with, copied from the catalogue once, so that a row can be checked
-- years later whatever the catalogue says then.
CREATE TABLE model_prices (
  -- <version>:<catalogue provider>:<catalogue model>:<which of its dated prices>
  id text PRIMARY KEY,
  version text NOT NULL,
  provider text NOT NULL,
  model text NOT NULL,
  -- When it applies: {"start_date": …}, {"start_time": …, "end_time": …} each day, or null for always.
  applies jsonb,
  -- US dollars as decimal strings, by the catalogue's own names: {"input_mtok": "0.15", …}.
  components jsonb NOT NULL,
  copied_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON model_prices TO gatehouse_app;

-- One row per call, written once. The application role reads its tenant's; only the ledger's writer adds.
CREATE TABLE ledger (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  at timestamptz NOT NULL,
  correlation_id text NOT NULL,
  key_id text NOT NULL,
  user_id uuid,
  operation text NOT NULL CHECK (operation IN ('chat', 'embeddings')),
  dialect text NOT NULL,
  route text,
  provider text NOT NULL,
  model text NOT NULL,
  response_model text,
  tier text NOT NULL,
  status text NOT NULL CHECK (status IN ('ok', 'error', 'aborted', 'timeout')),
  error_code text,
  streamed boolean NOT NULL,
  raw_usage jsonb,
  estimated boolean NOT NULL,
  input_tokens bigint NOT NULL CHECK (input_tokens >= 0),
  cached_read_tokens bigint NOT NULL CHECK (cached_read_tokens >= 0),
  cache_write_5m_tokens bigint NOT NULL CHECK (cache_write_5m_tokens >= 0),
  cache_write_1h_tokens bigint NOT NULL CHECK (cache_write_1h_tokens >= 0),
  output_tokens bigint NOT NULL CHECK (output_tokens >= 0),
  reasoning_tokens bigint NOT NULL CHECK (reasoning_tokens >= 0),
  image_tokens bigint NOT NULL CHECK (image_tokens >= 0),
  audio_tokens bigint NOT NULL CHECK (audio_tokens >= 0),
  pricing_state text NOT NULL CHECK (pricing_state IN ('priced', 'unpriced')),
  price_version text NOT NULL,
  price_id text REFERENCES model_prices (id),
  cost_nano_usd bigint CHECK (cost_nano_usd >= 0),
  attempts integer NOT NULL CHECK (attempts > 0),
  duration_ms integer NOT NULL,
  first_token_ms integer,
  CONSTRAINT unpriced_has_no_cost CHECK ((pricing_state = 'unpriced') = (cost_nano_usd IS NULL)),
  CONSTRAINT priced_names_its_price CHECK ((pricing_state = 'priced') = (price_id IS NOT NULL))
);
CREATE INDEX ledger_listing ON ledger (tenant_id, at DESC, id DESC);
CREATE INDEX ledger_correlation ON ledger (tenant_id, correlation_id);
CALL protect_tenant_table('ledger', 'SELECT');

CREATE FUNCTION refuse_ledger_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'ledger rows are never changed; a correction is a row of its own' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER never_updated BEFORE UPDATE ON ledger FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_update();
