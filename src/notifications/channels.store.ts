import { type RawBuilder, sql } from 'kysely';
import type { Database, DatabaseScope, Tx } from '../platform/database/database.ts';
import { AppError } from '../platform/errors.ts';
import type { Page, PageCursor } from '../platform/page.ts';
import type { ChannelKind } from './channel.ts';
import { dueNews, type EventRow, insertEvent, queueDelivery } from './events.store.ts';
import type { Severity } from './notification-event.ts';

/** A channel as it may be shown. */
export interface ChannelRow {
  readonly id: string;
  readonly tenant_id: string;
  readonly name: string;
  readonly kind: ChannelKind;
  readonly shown_target: string;
  readonly signing_secret_reference: string | null;
  readonly event_kinds: readonly string[];
  readonly min_severity: Severity;
  readonly enabled: boolean;
  readonly disabled_reason: string | null;
  readonly created_by: string;
  readonly created_at: Date;
  readonly updated_at: Date;
}

export interface SealedSecret {
  readonly id: string;
  readonly sealed: string;
  readonly reference: string | null;
  readonly created_at: Date;
}

/** What of a channel is changed; what is absent stays. */
export type ChannelChange = Partial<
  Pick<ChannelRow, 'name' | 'event_kinds' | 'min_severity' | 'enabled'> & {
    /** The new target, sealed, and what may be shown of it. */
    readonly target: { readonly sealed: string; readonly shown: string };
  }
>;

export const deliveryStates = ['pending', 'delivered', 'failed', 'dead'] as const;
export type DeliveryState = (typeof deliveryStates)[number];

export interface DeliveryRow {
  readonly id: string;
  readonly channel_id: string;
  readonly event_id: string;
  readonly event_kind: string;
  readonly severity: Severity;
  readonly title: string;
  readonly occurred_at: Date;
  readonly state: DeliveryState;
  readonly attempts: number;
  readonly next_attempt_at: Date | null;
  readonly last_status: number | null;
  readonly last_error: string | null;
  readonly delivered_at: Date | null;
  readonly created_at: Date;
}

export interface DeliveryFilter {
  readonly channelId: string | null;
  readonly state: DeliveryState | null;
  readonly eventKind: string | null;
}

export type ChannelsStore = ReturnType<typeof createChannelsStore>;

const shown = sql.raw(
  `id, tenant_id, name, kind, shown_target, event_kinds, min_severity, enabled, disabled_reason, created_by, created_at, updated_at,
   (select s.reference from notification_secrets s
    where s.channel_id = notification_channels.id and s.valid_until is null limit 1) as signing_secret_reference`,
);
const uniqueViolation = '23505';

/** SQL of channels and of what callers see of deliveries: under row-level security, for the caller's tenant. */
export function createChannelsStore(database: Pick<Database, 'inTenant'>) {
  /** @throws AppError `conflict` when the tenant has another channel of that name. */
  const withNameFree = async <T>(name: string | undefined, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      if ((cause as { code?: string }).code !== uniqueViolation) throw cause;
      throw new AppError('conflict', `A channel named "${name}" exists already. Choose another name.`, {
        cause,
      });
    }
  };

  return {
    /** @throws AppError `conflict` on a name that is taken, or when the tenant has `most` channels. */
    insert: (
      scope: DatabaseScope,
      row: ChannelRow & { readonly sealed_target: string },
      secret: SealedSecret | null,
      most: number,
    ): Promise<void> =>
      withNameFree(row.name, () =>
        database.inTenant(scope, async (tx) => {
          await sql`select pg_advisory_xact_lock(hashtextextended('notification channels ' || ${row.tenant_id}, 0))`.execute(
            tx,
          );
          const { rows } = await sql<{ n: bigint }>`select count(*) as n from notification_channels`.execute(
            tx,
          );
          if (Number(rows[0]?.n) >= most) {
            throw new AppError('conflict', `A tenant has at most ${most} channels. Delete one first.`);
          }
          await sql`
            insert into notification_channels (id, tenant_id, name, kind, sealed_target, shown_target, event_kinds,
              min_severity, enabled, created_by, created_at, updated_at)
            values (${row.id}, ${row.tenant_id}, ${row.name}, ${row.kind}, ${row.sealed_target}, ${row.shown_target},
              ${row.event_kinds}, ${row.min_severity}, ${row.enabled}, ${row.created_by}, ${row.created_at},
              ${row.updated_at})`.execute(tx);
          if (secret) await insertSecret(tx, row, secret);
        }),
      ),

    list: (scope: DatabaseScope, page: Page<PageCursor>): Promise<ChannelRow[]> =>
      database.inTenant(scope, async (tx) => {
        const { rows } = await sql<ChannelRow>`
          select ${shown} from notification_channels where ${after(page.after, sql`created_at`, sql`id`)}
          order by created_at desc, id desc limit ${page.limit}`.execute(tx);
        return rows;
      }),

    find: (scope: DatabaseScope, id: string): Promise<ChannelRow | null> =>
      database.inTenant(scope, async (tx) => {
        const { rows } = await sql<ChannelRow>`
          select ${shown} from notification_channels where id = ${id}`.execute(tx);
        return rows[0] ?? null;
      }),

    /**
     * Switching a channel off gives up what is open on it.
     * @returns the channel as it is then; null when there is none.
     * @throws AppError `conflict` on a name that is taken.
     */
    change: (scope: DatabaseScope, id: string, change: ChannelChange, at: Date): Promise<ChannelRow | null> =>
      withNameFree(change.name, () =>
        database.inTenant(scope, async (tx) => {
          const { name, event_kinds: kinds, min_severity: severity, enabled, target } = change;
          const set: RawBuilder<unknown>[] = [sql`updated_at = ${at}`];
          if (name !== undefined) set.push(sql`name = ${name}`);
          if (kinds !== undefined) set.push(sql`event_kinds = ${kinds}`);
          if (severity !== undefined) set.push(sql`min_severity = ${severity}`);
          if (enabled !== undefined) set.push(sql`enabled = ${enabled}, disabled_reason = null`);
          if (target) set.push(sql`sealed_target = ${target.sealed}, shown_target = ${target.shown}`);
          const { rows } = await sql<ChannelRow>`
            update notification_channels set ${sql.join(set)} where id = ${id} returning ${shown}`.execute(
            tx,
          );
          const [row] = rows;
          if (row && enabled === false) await giveUpOpen(tx, id);
          return row ?? null;
        }),
      ),

    /** @returns whether there was one. */
    remove: (scope: DatabaseScope, id: string): Promise<boolean> =>
      database.inTenant(scope, async (tx) => {
        const { numAffectedRows } = await sql`delete from notification_channels where id = ${id}`.execute(tx);
        return numAffectedRows === 1n;
      }),

    /** The current secret becomes the one before, and that one is removed: two are valid at most. */
    replaceSecret: (
      scope: DatabaseScope,
      channel: Pick<ChannelRow, 'id' | 'tenant_id'>,
      secret: SealedSecret,
      previousUntil: Date,
    ): Promise<void> =>
      database.inTenant(scope, async (tx) => {
        // One after another, or both would leave a current one.
        await sql`select id from notification_channels where id = ${channel.id} for update`.execute(tx);
        await sql`delete from notification_secrets where channel_id = ${channel.id} and valid_until is not null`.execute(
          tx,
        );
        await sql`update notification_secrets set valid_until = ${previousUntil} where channel_id = ${channel.id}`.execute(
          tx,
        );
        await insertSecret(tx, channel, secret);
      }),

    /** Tells one channel of an event, whatever it wants. */
    tell: (
      scope: DatabaseScope,
      event: EventRow,
      channelId: string,
      deliveryId: string,
    ): Promise<DeliveryRow | null> =>
      database.inTenant(scope, async (tx) => {
        await insertEvent(tx, event);
        const { tenant_id: tenantId, id: eventId, created_at: at } = event;
        await queueDelivery(tx, { id: deliveryId, tenantId, eventId, channelId, follows: null, at });
        return findDelivery(tx, deliveryId);
      }),

    deliveries: (
      scope: DatabaseScope,
      filter: DeliveryFilter,
      page: Page<PageCursor>,
    ): Promise<DeliveryRow[]> =>
      database.inTenant(scope, async (tx) => {
        const { channelId, state, eventKind } = filter;
        const { rows } = await sql<DeliveryRow>`
          select ${deliveryColumns} from notification_deliveries d join notification_events e on e.id = d.event_id
          where ${after(page.after, sql`d.created_at`, sql`d.id`)}
            and ${channelId === null ? sql`true` : sql`d.channel_id = ${channelId}`}
            and ${state === null ? sql`true` : sql`d.state = ${state}`}
            and ${eventKind === null ? sql`true` : sql`e.kind = ${eventKind}`}
          order by d.created_at desc, d.id desc limit ${page.limit}`.execute(tx);
        return rows;
      }),

    /** @returns the delivery queued anew, or why it was not. */
    redeliver: (scope: DatabaseScope, id: string): Promise<DeliveryRow | 'absent' | 'open' | 'channel off'> =>
      database.inTenant(scope, async (tx) => {
        const { rows } = await sql<{ enabled: boolean; open: boolean }>`
          select c.enabled, d.next_attempt_at is not null as open
          from notification_deliveries d join notification_channels c on c.id = d.channel_id
          where d.id = ${id} for update of d`.execute(tx);
        const [found] = rows;
        if (!found) return 'absent';
        if (found.open) return 'open';
        if (!found.enabled) return 'channel off';
        await sql`
          update notification_deliveries set state = 'pending', tries = 0, claim = null, next_attempt_at = now(),
            queued_at = now(), last_status = null, last_error = null, delivered_at = null, updated_at = now()
          where id = ${id}`.execute(tx);
        await sql`select pg_notify(${dueNews}, '')`.execute(tx);
        return (await findDelivery(tx, id)) ?? 'absent';
      }),
  };
}

const deliveryColumns = sql.raw(
  `d.id, d.channel_id, d.event_id, e.kind as event_kind, e.severity, e.title, e.occurred_at, d.state, d.attempts,
   d.next_attempt_at, d.last_status, d.last_error, d.delivered_at, d.created_at`,
);

async function findDelivery(tx: Tx, id: string): Promise<DeliveryRow | null> {
  const { rows } = await sql<DeliveryRow>`
    select ${deliveryColumns} from notification_deliveries d join notification_events e on e.id = d.event_id
    where d.id = ${id}`.execute(tx);
  return rows[0] ?? null;
}

async function insertSecret(
  tx: Tx,
  channel: Pick<ChannelRow, 'id' | 'tenant_id'>,
  { id, sealed, reference, created_at: at }: SealedSecret,
): Promise<void> {
  await sql`
    insert into notification_secrets (id, tenant_id, channel_id, sealed, reference, created_at)
    values (${id}, ${channel.tenant_id}, ${channel.id}, ${sealed}, ${reference}, ${at})`.execute(tx);
}

async function giveUpOpen(tx: Tx, channelId: string): Promise<void> {
  await sql`
    update notification_deliveries set state = 'dead', claim = null, next_attempt_at = null,
      last_error = 'the channel was switched off', updated_at = now()
    where channel_id = ${channelId} and next_attempt_at is not null`.execute(tx);
}

function after(cursor: PageCursor | null, createdAt: RawBuilder<unknown>, id: RawBuilder<unknown>) {
  if (cursor === null) return sql`true`;
  return sql`(${createdAt}, ${id}) < (${cursor.createdAt}::timestamptz, ${cursor.id}::uuid)`;
}
