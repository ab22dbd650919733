import { sql } from 'kysely';
import type { Tx } from '../platform/database/database.ts';
import type { Severity, Told } from './notification-event.ts';

export interface EventRow {
  readonly id: string;
  readonly tenant_id: string;
  readonly dedupe_key: string;
  readonly kind: string;
  readonly severity: Severity;
  readonly title: string;
  readonly text: string;
  readonly subject: string;
  readonly data: { readonly [name: string]: Told };
  /** The event that is settled by this one. */
  readonly resolves: string | null;
  readonly occurred_at: Date;
  readonly created_at: Date;
}

/** A channel as far as it takes to say whether it is told of an event. */
export interface ListeningChannel {
  readonly id: string;
  readonly event_kinds: readonly string[];
  readonly min_severity: Severity;
}

/** Postgres tells every instance by this name that something is due. */
export const dueNews = 'notifications_due';
/** Deliveries that may be open on one channel; what comes on top is dead at once, and is sent when somebody asks. */
export const maxOpenPerChannel = 10_000;

// SQL of events and of their way into the queue: all of it runs in the transaction of whoever has something to tell.

/** @returns false when the tenant had an event with this dedupe key. */
export async function insertEvent(tx: Tx, row: EventRow): Promise<boolean> {
  const { numAffectedRows } = await sql`
    insert into notification_events (id, tenant_id, dedupe_key, kind, severity, title, text, subject, data, resolves,
      occurred_at, created_at)
    values (${row.id}, ${row.tenant_id}, ${row.dedupe_key}, ${row.kind}, ${row.severity}, ${row.title}, ${row.text},
      ${row.subject}, ${JSON.stringify(row.data)}::jsonb, ${row.resolves}, ${row.occurred_at}, ${row.created_at})
    on conflict (tenant_id, dedupe_key) do nothing`.execute(tx);
  return numAffectedRows === 1n;
}

export async function eventIdOf(tx: Tx, tenantId: string, dedupeKey: string): Promise<string | null> {
  const { rows } = await sql<{ id: string }>`
    select id from notification_events where tenant_id = ${tenantId} and dedupe_key = ${dedupeKey}`.execute(
    tx,
  );
  return rows[0]?.id ?? null;
}

/** The tenant's channels that are switched on. */
export async function listeningChannels(tx: Tx, tenantId: string): Promise<ListeningChannel[]> {
  const { rows } = await sql<ListeningChannel>`
    select id, event_kinds, min_severity from notification_channels
    where tenant_id = ${tenantId} and enabled order by id`.execute(tx);
  return rows;
}

/** The channels that are switched on and that an event went to; of no event, none. */
export async function channelsToldOf(tx: Tx, tenantId: string, eventId: string | null): Promise<string[]> {
  if (eventId === null) return [];
  const { rows } = await sql<{ id: string }>`
    select c.id from notification_deliveries d
      join notification_channels c on c.tenant_id = d.tenant_id and c.id = d.channel_id
    where d.tenant_id = ${tenantId} and d.event_id = ${eventId} and c.enabled order by c.id`.execute(tx);
  return rows.map(({ id }) => id);
}

/** Queues one delivery, to be sent as soon as the transaction is committed. */
export async function queueDelivery(
  tx: Tx,
  delivery: {
    readonly id: string;
    readonly tenantId: string;
    readonly eventId: string;
    readonly channelId: string;
    /** What must have ended on this channel before. */
    readonly follows: string | null;
    readonly at: Date;
  },
): Promise<void> {
  const { id, tenantId, eventId, channelId, follows, at } = delivery;
  await sql`
    with room as (
      select count(*) < ${maxOpenPerChannel} as there from (
        select 1 from notification_deliveries
        where tenant_id = ${tenantId} and channel_id = ${channelId} and next_attempt_at is not null
        limit ${maxOpenPerChannel}) open)
    insert into notification_deliveries (id, tenant_id, event_id, channel_id, state, next_attempt_at, last_error, follows,
      queued_at, created_at, updated_at)
    select ${id}::uuid, ${tenantId}::uuid, ${eventId}::uuid, ${channelId}::uuid,
      case when there then 'pending' else 'dead' end, case when there then now() end,
      case when there then null else 'too many deliveries wait on this channel' end,
      ${follows}::uuid, now(), ${at}::timestamptz, now()
    from room`.execute(tx);
  await sql`select pg_notify(${dueNews}, '')`.execute(tx);
}
