-- Up Migration

-- What requests that carried an Idempotency-Key were answered (HTTP-6), for a day. Where a request changes nothing but
-- tables, its row is written in the transaction of those changes, and both are there or neither; where it does more, the
-- row says first whose turn it is. Replies may hold what is shown once, so they are sealed. Only the server's own role
-- reads them.
CREATE TABLE idempotency_keys (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  -- The credential that was shown; another one's key of the same name is another key.
  caller text NOT NULL CHECK (length(caller) <= 200),
  key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
  -- SHA-256 of method, address and body.
  request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
  -- The process that is at it; null once there is a reply.
  held_by uuid,
  -- Status, headers and body; null while there is none.
  sealed_reply text CHECK (length(sealed_reply) <= 3145728),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, caller, key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
CALL protect_tenant_table('idempotency_keys', 'SELECT');
REVOKE ALL ON idempotency_keys FROM gatehouse_app;
