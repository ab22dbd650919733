-- Up Migration

-- Processes that serve from this database. Who lives is told by locks: each holds, on a connection kept for it, the lock
-- of all (shared by those that meet in Redis, exclusive for one that has none) and one of its own number. A row says in
-- words whose lock that is; one whose lock nobody holds is of a process that ended without saying so.
CREATE TABLE instances (
  id uuid PRIMARY KEY,
  number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
  -- Its data directory: the same after a restart, while the id is another one.
  place uuid NOT NULL,
  host text NOT NULL,
  pid integer NOT NULL,
  address text,
  version text NOT NULL,
  has_redis boolean NOT NULL,
  -- What the Redis it uses says when it is asked which one it is; null while it cannot be asked.
  redis_server text,
  started_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL
);
REVOKE ALL ON instances FROM gatehouse_app;

-- 1196705640 stands for instances among the application's locks (src/platform/instances.ts).
CREATE VIEW live_instances AS
  SELECT i.*, l.pid AS session_pid FROM instances i
  JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = 1196705640
    AND l.objid = i.number::oid
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());
REVOKE ALL ON live_instances FROM gatehouse_app;

-- Each data directory has an index of its own, and so its own copy of what that index must still be told. One that was
-- away for long is forgotten here and builds its index again when it returns.
CREATE TABLE index_places (
  id uuid PRIMARY KEY,
  registered_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL
);
REVOKE ALL ON index_places FROM gatehouse_app;

-- The place that is all zeros stands for "the only one there is": what was there before places had names, until the first
-- of them takes it over.
ALTER TABLE index_generations ADD COLUMN place uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE index_vectors_missing ADD COLUMN place uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE index_vectors_missing
  DROP CONSTRAINT index_vectors_missing_tenant_id_generation_fkey,
  DROP CONSTRAINT index_vectors_missing_pkey;
ALTER TABLE index_generations DROP CONSTRAINT index_generations_pkey, ADD PRIMARY KEY (tenant_id, place, number);
DROP INDEX index_generations_active;
CREATE UNIQUE INDEX index_generations_active ON index_generations (tenant_id, place) WHERE state = 'active';
ALTER TABLE index_vectors_missing
  ADD PRIMARY KEY (tenant_id, place, generation, document_id),
  ADD FOREIGN KEY (tenant_id, place, generation) REFERENCES index_generations (tenant_id, place, number)
    ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE index_changes ADD COLUMN place uuid;
UPDATE index_changes SET place = '00000000-0000-0000-0000-000000000000';
ALTER TABLE index_changes ALTER COLUMN place SET NOT NULL;
DROP INDEX index_changes_tenant;
CREATE INDEX index_changes_place ON index_changes (place, tenant_id, id);
CREATE INDEX index_changes_document ON index_changes (document_id);

-- One row is written, and becomes one for each place. Who registers a place waits for all who are writing such rows, and
-- they for him (src/knowledge/index-places.store.ts): so a change is either told to it or older than its first look.
CREATE FUNCTION choose_place() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  SELECT id INTO NEW.place FROM index_places ORDER BY id LIMIT 1;
  NEW.place := coalesce(NEW.place, '00000000-0000-0000-0000-000000000000');
  RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION choose_place FROM PUBLIC;
CREATE TRIGGER a_place BEFORE INSERT ON index_changes FOR EACH ROW WHEN (NEW.place IS NULL)
  EXECUTE FUNCTION choose_place();

-- After the row: by then it is known that its writer may write it.
CREATE FUNCTION tell_other_places() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO index_changes (tenant_id, document_id, change, created_at, place)
    SELECT NEW.tenant_id, NEW.document_id, NEW.change, NEW.created_at, id FROM index_places WHERE id <> NEW.place;
  PERFORM pg_notify('index_changed', NEW.tenant_id::text);
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION tell_other_places FROM PUBLIC;
CREATE TRIGGER other_places AFTER INSERT ON index_changes FOR EACH ROW WHEN (pg_trigger_depth() = 0)
  EXECUTE FUNCTION tell_other_places();
