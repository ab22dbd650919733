import type { ChannelRow, DeliveryRow } from './channels.store.ts';

export function showChannel(row: ChannelRow) {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    target: row.shown_target,
    signing_secret_reference: row.signing_secret_reference,
    event_kinds: [...row.event_kinds],
    min_severity: row.min_severity,
    enabled: row.enabled,
    disabled_reason: row.disabled_reason,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

export function showDelivery(row: DeliveryRow) {
  return {
    id: row.id,
    channel_id: row.channel_id,
    event: {
      id: row.event_id,
      kind: row.event_kind,
      severity: row.severity,
      title: row.title,
      occurred_at: row.occurred_at.toISOString(),
    },
    state: row.state,
    attempts: row.attempts,
    next_attempt_at: row.next_attempt_at?.toISOString() ?? null,
    last_status: row.last_status,
    last_error: row.last_error,
    delivered_at: row.delivered_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  };
}
