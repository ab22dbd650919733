import { sql } from 'kysely';
import type { Database } from '../platform/database/database.ts';
import type { ChannelKind } from './channel.ts';
import type { ToldEvent } from './outgoing-message.ts';

/** A delivery that this instance alone may try until its claim runs out. */
export interface ClaimedDelivery extends ToldEvent {
  readonly delivery_id: string;
  readonly claim: string;
  readonly tries: number;
  /** Since it was queued, or asked for again. */
  readonly aged_ms: number;
  readonly channel_id: string;
  readonly channel_kind: ChannelKind;
  readonly sealed_target: string;
  /** Of a webhook, those that are valid now, the current one first. */
  readonly secrets: readonly { readonly id: string; readonly sealed: string }[];
}

/** What this instance is trying already, one entry for each try. */
export interface InFlight {
  readonly channels: readonly string[];
  readonly tenants: readonly string[];
}

export interface ClaimBounds {
  readonly claim: string;
  readonly limit: number;
  readonly perChannel: number;
  readonly perTenant: number;
  /** How long nobody else takes them up. */
  readonly forMs: number;
}

/** Due rows that are looked at for one claim; those of channels without room are not among them. */
const maxLookedAt = 500;

export type DeliveriesStore = ReturnType<typeof createDeliveriesStore>;

/**
 * SQL of the queue, for whoever sends: as the platform, over all tenants. Time is the database's, the only clock that
 * instances share.
 */
export function createDeliveriesStore(database: Pick<Database, 'platform'>) {
  const db = database.platform;

  return {
    /**
     * Takes what is due, oldest first, and puts its next attempt so far ahead that no other instance takes it meanwhile; a
     * process that dies leaves it to be taken up then. An attempt is counted here, so that one which kills its process
     * counts too. What settles an event waits until that event's own delivery on the channel has ended.
     */
    async claim(bounds: ClaimBounds, inFlight: InFlight): Promise<ClaimedDelivery[]> {
      const { claim, limit, perChannel, perTenant, forMs } = bounds;
      const { channels, tenants } = inFlight;
      const { rows } = await sql<ClaimedDelivery>`
        with flying as (select * from unnest(${channels}::uuid[], ${tenants}::uuid[]) as f(channel_id, tenant_id)),
        due as (
          select d.id, d.channel_id, d.tenant_id, d.next_attempt_at from notification_deliveries d
          where d.next_attempt_at <= now()
            and d.channel_id not in (select channel_id from flying group by 1 having count(*) >= ${perChannel})
            and d.tenant_id not in (select tenant_id from flying group by 1 having count(*) >= ${perTenant})
            and not exists (select from notification_deliveries before where before.event_id = d.follows
              and before.channel_id = d.channel_id and before.next_attempt_at is not null)
          order by d.next_attempt_at limit ${maxLookedAt}),
        ranked as (
          select id, next_attempt_at,
            row_number() over (partition by channel_id order by next_attempt_at, id)
              + (select count(*) from flying f where f.channel_id = due.channel_id) as of_channel,
            row_number() over (partition by tenant_id order by next_attempt_at, id)
              + (select count(*) from flying f where f.tenant_id = due.tenant_id) as of_tenant
          from due),
        taken as (
          select id from notification_deliveries
          where next_attempt_at <= now() and id in (
            select id from ranked where of_channel <= ${perChannel} and of_tenant <= ${perTenant}
            order by next_attempt_at, id limit ${limit})
          for update skip locked)
        update notification_deliveries d
        set claim = ${claim}, attempts = attempts + 1, tries = tries + 1, updated_at = now(),
          next_attempt_at = now() + make_interval(secs => ${forMs / 1_000})
        from taken t, notification_events e, notification_channels c
        where d.id = t.id and e.id = d.event_id and c.id = d.channel_id
        returning d.id as delivery_id, d.claim, d.tries,
          extract(epoch from now() - d.queued_at)::float8 * 1000 as aged_ms,
          c.id as channel_id, c.kind as channel_kind, c.sealed_target,
          (select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'sealed', s.sealed) order by s.created_at desc, s.id desc), '[]')
            from notification_secrets s where s.tenant_id = c.tenant_id and s.channel_id = c.id
              and (s.valid_until is null or s.valid_until > now())) as secrets,
          e.id, e.tenant_id, e.kind, e.severity, e.title, e.text, e.subject, e.data, e.resolves, e.occurred_at`.execute(
        db,
      );
      return rows;
    },

    /** Milliseconds until the next delivery is due that is not due yet; null when there is none. */
    async nextDueInMs(): Promise<number | null> {
      const { rows } = await sql<{ ms: number | null }>`
        select extract(epoch from min(next_attempt_at) - now())::float8 * 1000 as ms
        from notification_deliveries where next_attempt_at > now()`.execute(db);
      return rows[0]?.ms ?? null;
    },

    async delivered(ended: Pick<ClaimedDelivery, 'delivery_id' | 'claim'>, status: number): Promise<void> {
      await sql`
        update notification_deliveries set state = 'delivered', claim = null, next_attempt_at = null,
          last_status = ${status}, last_error = null, delivered_at = now(), updated_at = now()
        where id = ${ended.delivery_id} and claim = ${ended.claim} and next_attempt_at is not null`.execute(
        db,
      );
    },

    /** @param nextInMs null: it is dead. @param heldBackMs for so long nothing else is sent to the channel. */
    async failed(
      ended: Pick<ClaimedDelivery, 'delivery_id' | 'claim' | 'channel_id' | 'tenant_id'>,
      how: { readonly status: number | null; readonly error: string; readonly nextInMs: number | null },
      heldBackMs: number | null,
    ): Promise<void> {
      const { status, error, nextInMs } = how;
      const later = (ms: number) => sql`now() + make_interval(secs => ${ms / 1_000})`;
      await sql`
        update notification_deliveries set state = ${nextInMs === null ? 'dead' : 'failed'}, claim = null,
          next_attempt_at = ${nextInMs === null ? sql`null` : later(nextInMs)},
          last_status = ${status}, last_error = ${error}, updated_at = now()
        where id = ${ended.delivery_id} and claim = ${ended.claim} and next_attempt_at is not null`.execute(
        db,
      );
      if (heldBackMs === null) return;
      await sql`
        update notification_deliveries set next_attempt_at = ${later(heldBackMs)}
        where tenant_id = ${ended.tenant_id} and channel_id = ${ended.channel_id} and claim is null
          and next_attempt_at < ${later(heldBackMs)}`.execute(db);
    },

    /**
     * Switches the channel off and gives up what is open on it.
     * @returns false, and does nothing, when the channel leads elsewhere by now.
     */
    gone: (
      ended: Pick<ClaimedDelivery, 'delivery_id' | 'channel_id' | 'tenant_id' | 'sealed_target'>,
      status: number,
      reason: string,
    ): Promise<boolean> =>
      db.transaction().execute(async (tx) => {
        const { numAffectedRows } = await sql`
          update notification_channels set enabled = false, updated_at = now(),
            disabled_reason = case when enabled then ${reason} else disabled_reason end
          where tenant_id = ${ended.tenant_id} and id = ${ended.channel_id}
            and sealed_target = ${ended.sealed_target}`.execute(tx);
        if (numAffectedRows === 0n) return false;
        await sql`
          update notification_deliveries set state = 'dead', claim = null, next_attempt_at = null, last_error = ${reason},
            last_status = case when id = ${ended.delivery_id} then ${status} else last_status end, updated_at = now()
          where tenant_id = ${ended.tenant_id} and channel_id = ${ended.channel_id}
            and next_attempt_at is not null`.execute(tx);
        return true;
      }),

    /** @returns how many rows it removed, `limit` at most: when it is as many, there may be more. */
    async forget(
      ages: { readonly deliveredMs: number; readonly deadMs: number; readonly eventMs: number },
      limit: number,
    ): Promise<number> {
      const before = (ms: number) => sql`now() - make_interval(secs => ${ms / 1_000})`;
      const deliveries = await sql`
        delete from notification_deliveries where id in (
          select id from notification_deliveries
          where next_attempt_at is null and updated_at < ${before(ages.deliveredMs)}
            and (state = 'delivered' or updated_at < ${before(ages.deadMs)})
          order by updated_at limit ${limit})`.execute(db);
      const events = await sql`
        delete from notification_events where id in (
          select e.id from notification_events e where e.created_at < ${before(ages.eventMs)}
            and not exists (select from notification_deliveries d where d.event_id = e.id)
          order by e.created_at limit ${limit})`.execute(db);
      return Math.max(Number(deliveries.numAffectedRows ?? 0n), Number(events.numAffectedRows ?? 0n));
    },
  };
}
