-- Up Migration

-- One row per check and hour: enough for availability over 24 hours, 7 days and 30 days, and 720 rows a check at most.
CREATE TABLE health_history (
  check_name text NOT NULL,
  hour timestamptz NOT NULL,
  samples integer NOT NULL,
  failures integer NOT NULL,
  latency_ms_max double precision NOT NULL,
  PRIMARY KEY (check_name, hour)
);
