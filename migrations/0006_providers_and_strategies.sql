-- Up Migration

-- Providers of every kind, with several keys, changed in place; routes with a strategy and a cache. Everything new has a
-- default, so that a server of the version before goes on working beside this one.
ALTER TABLE providers DROP CONSTRAINT providers_kind_check;
ALTER TABLE providers ADD CONSTRAINT providers_kind_check
  CHECK (kind IN ('openai', 'azure', 'anthropic', 'gemini', 'bedrock', 'ollama', 'openai-compatible', 'kapa'));
ALTER TABLE providers
  -- [{"sealed": text, "hint": text or null, "weight": number}], each sealed for this very row. Null in rows of the
  -- version before, whose one key is in sealed_key; the first key is there too, for that version to read.
  ADD COLUMN sealed_keys jsonb,
  -- {"awsRegion", "projectId", "maxConcurrent", "timeouts": {"connectMs", "firstTokenMs", "idleMs", "totalMs"}}
  ADD COLUMN settings jsonb NOT NULL DEFAULT '{}',
  -- Counts changes: what is kept in memory of a provider stands for one revision of it.
  ADD COLUMN revision integer NOT NULL DEFAULT 1,
  ADD COLUMN updated_at timestamptz;
-- As before, the application role stores sealed keys and never reads one back.
GRANT SELECT (settings, revision, updated_at) ON providers TO gatehouse_app;
GRANT UPDATE (kind, base_url, sealed_key, key_hint, sealed_keys, settings, local_addresses_allowed, revision, updated_at)
  ON providers TO gatehouse_app;

ALTER TABLE model_routes
  ADD COLUMN strategy text NOT NULL DEFAULT 'weighted'
    CHECK (strategy IN ('priority', 'weighted', 'least_latency', 'lowest_cost', 'sticky')),
  -- {"mode": "off" | "exact" | "semantic", "ttlSeconds", "similarityThreshold"}
  ADD COLUMN cache jsonb NOT NULL DEFAULT '{"mode": "off"}' CHECK (cache ->> 'mode' IN ('off', 'exact', 'semantic'));
