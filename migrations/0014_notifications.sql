-- Up Migration

-- Where a tenant is told of its events. Two of one name would be mixed up in every list.
CREATE TABLE notification_channels (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  kind text NOT NULL CHECK (kind IN ('webhook', 'slack', 'pagerduty')),
  -- Sealed for this very row: the address, or PagerDuty's routing key. Whole, because an address may be a secret.
  sealed_target text NOT NULL,
  -- What may be shown of it.
  shown_target text NOT NULL,
  -- Kinds of events that it wants, or `<beginning>.*`; none means all.
  event_kinds text[] NOT NULL CHECK (cardinality(event_kinds) <= 50),
  min_severity text NOT NULL CHECK (min_severity IN ('info', 'warning', 'critical')),
  enabled boolean NOT NULL,
  -- Why it was switched off when nobody did it by hand: the receiver said that it is gone for good.
  disabled_reason text,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (tenant_id, id),
  UNIQUE (tenant_id, name)
);
CALL protect_tenant_table('notification_channels', 'INSERT, UPDATE, DELETE');
-- The application role stores what is sealed and never reads it back: only the sender opens it.
GRANT SELECT (id, tenant_id, name, kind, shown_target, event_kinds, min_severity, enabled, disabled_reason, created_by,
  created_at, updated_at) ON notification_channels TO gatehouse_app;

-- What webhooks are signed with. While a secret is replaced, the one before goes on signing beside it for a while.
CREATE TABLE notification_secrets (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  channel_id uuid NOT NULL,
  sealed text NOT NULL,
  created_at timestamptz NOT NULL,
  -- Null for the current one.
  valid_until timestamptz,
  FOREIGN KEY (tenant_id, channel_id) REFERENCES notification_channels (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX notification_secrets_channel ON notification_secrets (tenant_id, channel_id);
CALL protect_tenant_table('notification_secrets', 'INSERT, DELETE');
GRANT SELECT (id, tenant_id, channel_id, created_at, valid_until), UPDATE (valid_until)
  ON notification_secrets TO gatehouse_app;

-- What happened, once for each dedupe key, whether or not a channel wanted it.
CREATE TABLE notification_events (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  dedupe_key text NOT NULL CHECK (length(dedupe_key) BETWEEN 1 AND 300),
  kind text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]*([.][a-z0-9_]+)*$' AND length(kind) <= 100),
  severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
  title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
  text text NOT NULL CHECK (length(text) <= 4000),
  -- What it is about, such as `budget:<id>`.
  subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 300),
  data jsonb NOT NULL,
  -- The event that is settled by this one.
  resolves uuid REFERENCES notification_events (id) ON DELETE SET NULL,
  occurred_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (tenant_id, id),
  UNIQUE (tenant_id, dedupe_key)
);
CREATE INDEX notification_events_age ON notification_events (created_at);
CREATE INDEX notification_events_resolves ON notification_events (resolves) WHERE resolves IS NOT NULL;
CALL protect_tenant_table('notification_events', 'SELECT, INSERT');

-- One event on its way to one channel.
CREATE TABLE notification_deliveries (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  event_id uuid NOT NULL,
  channel_id uuid NOT NULL,
  -- pending: not tried yet; failed: to be tried again; dead: given up, and sent again only when somebody asks.
  state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'dead')),
  -- In all, and since it was queued or asked for again.
  attempts integer NOT NULL DEFAULT 0,
  tries integer NOT NULL DEFAULT 0,
  -- While an instance tries it, this lies so far ahead that no other one does meanwhile.
  next_attempt_at timestamptz,
  -- Of the latest try: only it may say how that ended.
  claim uuid,
  -- What must have ended on this channel before this may begin: the event that is settled by this one.
  follows uuid,
  queued_at timestamptz NOT NULL,
  last_status integer,
  last_error text CHECK (length(last_error) <= 500),
  delivered_at timestamptz,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  FOREIGN KEY (tenant_id, event_id) REFERENCES notification_events (tenant_id, id) ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, channel_id) REFERENCES notification_channels (tenant_id, id) ON DELETE CASCADE,
  UNIQUE (event_id, channel_id),
  CONSTRAINT open_has_a_next_attempt CHECK ((state IN ('pending', 'failed')) = (next_attempt_at IS NOT NULL))
);
CREATE INDEX notification_deliveries_listing ON notification_deliveries (tenant_id, created_at DESC, id DESC);
CREATE INDEX notification_deliveries_due ON notification_deliveries (next_attempt_at)
  WHERE next_attempt_at IS NOT NULL;
CREATE INDEX notification_deliveries_open ON notification_deliveries (tenant_id, channel_id)
  WHERE next_attempt_at IS NOT NULL;
CREATE INDEX notification_deliveries_channel ON notification_deliveries (tenant_id, channel_id, created_at DESC, id DESC);
CREATE INDEX notification_deliveries_settled ON notification_deliveries (updated_at) WHERE next_attempt_at IS NULL;
CALL protect_tenant_table('notification_deliveries', 'SELECT, INSERT, UPDATE');
