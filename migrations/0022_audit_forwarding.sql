-- Up Migration

-- Where owners have the audit log forwarded to (AUD-3): every tenant's log, or those of some. `shown` is what may be told of
-- the destination; `sealed` is its secret. A process claims a destination for a while and no other one sends meanwhile.
CREATE TABLE audit_destinations (
  name text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  kind text NOT NULL CHECK (kind IN ('syslog', 'webhook', 's3')),
  enabled boolean NOT NULL,
  shown jsonb NOT NULL,
  sealed text,
  -- Null: all.
  tenants uuid[],
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  claim uuid,
  claimed_until timestamptz,
  tries integer NOT NULL DEFAULT 0,
  next_try_at timestamptz,
  failing_since timestamptz,
  last_error text CHECK (length(last_error) <= 500)
);
CALL audit_table('audit_destinations', 'audit_destination', 'name', 'sealed',
  'claim,claimed_until,tries,next_try_at,failing_since,last_error');

-- How far each log has got there. `lost`: entries that were pruned before they could be forwarded.
CREATE TABLE audit_forwarded (
  destination text NOT NULL REFERENCES audit_destinations (name) ON DELETE CASCADE,
  tenant_id uuid NOT NULL,
  next_leaf bigint NOT NULL CHECK (next_leaf >= 0),
  lost bigint NOT NULL DEFAULT 0,
  at timestamptz NOT NULL,
  PRIMARY KEY (destination, tenant_id)
);
CALL protect_tenant_table('audit_forwarded', 'SELECT');
