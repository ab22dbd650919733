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
