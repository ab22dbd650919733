-- Up Migration

-- Days, weeks and months of budgets, invoices and reports begin in the tenant's own time zone.
ALTER TABLE tenants ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC' CHECK (length(time_zone) BETWEEN 1 AND 64);
DROP TRIGGER changed ON tenants;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OF name, slug, tier, region, status, time_zone OR DELETE ON tenants
  FOR EACH ROW EXECUTE FUNCTION notify_access_changed();

-- A service of the platform's own: request limits let it pass, budgets do not.
ALTER TABLE api_keys ADD COLUMN internal boolean NOT NULL DEFAULT false;
DROP TRIGGER changed ON api_keys;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OF role, groups, scopes, expires_at, revoked_at, key_hash, internal OR DELETE
  ON api_keys FOR EACH ROW EXECUTE FUNCTION notify_access_changed();

-- What a call was made for, as its caller said: a prompt's id or name, and tags. Which process wrote the row, and its
-- how-manieth it was there: so a budget's spend is told apart into what a living process still holds and what is only here.
-- The transaction that added the row: rollups take each row exactly once by it, whatever commits when.
ALTER TABLE ledger
  ADD COLUMN prompt_id text CHECK (length(prompt_id) BETWEEN 1 AND 100),
  ADD COLUMN tags text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 10),
  ADD COLUMN writer uuid,
  ADD COLUMN writer_seq bigint CHECK (writer_seq > 0),
  ADD COLUMN added_by xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX ledger_added_by ON ledger (added_by);
-- A call that a process was making when it was killed: it may have been charged for.
ALTER TABLE ledger DROP CONSTRAINT ledger_status_check;
ALTER TABLE ledger ADD CONSTRAINT ledger_status_check CHECK (status IN ('ok', 'error', 'aborted', 'timeout', 'lost'));
