import { sql } from 'kysely';
import type { Database, Tx } from '../database/database.ts';
import { notFound } from '../errors.ts';

export interface DataKeyRow {
  readonly id: string;
  /** Null: the platform's. */
  readonly tenant_id: string | null;
  readonly wrapped: string;
  readonly kek_id: string;
  readonly created_at: Date;
  readonly superseded_at: Date | null;
  /** The tenant's own key-encryption key, without a version; null: it has none. */
  readonly customer_kek: string | null;
}

/** What is stored of a data key itself. */
export type NewDataKey = Omit<DataKeyRow, 'superseded_at' | 'customer_kek'>;

/** What data keys are wrapped by one key-encryption key. */
export interface KekUse {
  readonly kekId: string;
  readonly dataKeys: number;
  readonly oldestWrappedAt: Date;
}

export interface DataKeyCounts {
  readonly current: number;
  readonly superseded: number;
  readonly retired: number;
  readonly oldestCurrentAt: Date | null;
}

export type KeyringStore = ReturnType<typeof createKeyringStore>;

const columns = sql.raw(
  `id, tenant_id, wrapped, kek_id, created_at, superseded_at,
   (select kek from tenant_encryption_keys t where t.tenant_id = data_keys.tenant_id) as customer_kek`,
);
const envelope = 'envelope_sealing';
const fingerprint = 'master_key_fingerprint';
/** Any number; the same in every instance. */
const makingKeysLock = 7_165_402_391;
const holderForgottenAfter = '1 day';

/** SQL of data keys and of who has which key-encryption key. As the owner role: the application reads none of it. */
export function createKeyringStore(database: Pick<Database, 'platform'>) {
  const db = database.platform;
  const setting = async (name: string): Promise<unknown> => {
    const { rows } = await sql<{ value: unknown }>`
      select value from platform_settings where name = ${name}`.execute(db);
    return rows[0]?.value;
  };

  return {
    async dataKey(id: string): Promise<DataKeyRow | null> {
      const { rows } = await sql<DataKeyRow>`select ${columns} from data_keys where id::text = ${id}`.execute(
        db,
      );
      return rows[0] ?? null;
    },

    /** The one that seals for a tenant now. */
    async currentDataKey(tenantId: string | null): Promise<DataKeyRow | null> {
      const { rows } = await sql<DataKeyRow>`select ${columns} from data_keys
        where tenant_id is not distinct from ${tenantId} and superseded_at is null`.execute(db);
      return rows[0] ?? null;
    },

    /** Does nothing when the tenant has a current one by now. */
    async addDataKey(row: NewDataKey): Promise<void> {
      await insert(db, row);
    },

    /** @returns whether it was done: false when another instance was first, or the tenant is gone. */
    supersede: (id: string, next: NewDataKey): Promise<boolean> =>
      db.transaction().execute(async (tx) => {
        const { numAffectedRows } = await sql`update data_keys set superseded_at = ${next.created_at}
          where id = ${id} and superseded_at is null`.execute(tx);
        if (numAffectedRows !== 1n) return false;
        await insert(tx, next);
        return true;
      }),

    /** Current ones that were made before then, by id. */
    async currentMadeBefore(at: Date, after: string | null, limit: number): Promise<DataKeyRow[]> {
      const { rows } = await sql<DataKeyRow>`select ${columns} from data_keys
        where superseded_at is null and created_at < ${at} and ${after === null ? sql`true` : sql`id > ${after}`}
        order by id limit ${limit}`.execute(db);
      return rows;
    },

    /** Those that another key wrapped than the one that should: this one, or the tenant's own. */
    async wrappedByOthers(kekId: string, after: string | null, limit: number): Promise<DataKeyRow[]> {
      const { rows } = await sql<DataKeyRow>`select ${columns} from data_keys
        where ${after === null ? sql`true` : sql`id > ${after}`} and case
          when exists (select from tenant_encryption_keys t where t.tenant_id = data_keys.tenant_id)
          then not exists (select from tenant_encryption_keys t where t.tenant_id = data_keys.tenant_id
            and t.kek = regexp_replace(data_keys.kek_id, '#[0-9]+$', ''))
          else kek_id <> ${kekId} end
        order by id limit ${limit}`.execute(db);
      return rows;
    },

    /** @returns whether it still was as the caller knew it. */
    async replaceWrapped(
      row: Pick<DataKeyRow, 'id' | 'wrapped'>,
      next: { readonly wrapped: string; readonly kekId: string },
      at: Date,
    ): Promise<boolean> {
      const { numAffectedRows } = await sql`
        update data_keys set wrapped = ${next.wrapped}, kek_id = ${next.kekId}, wrapped_at = ${at}
        where id = ${row.id} and wrapped = ${row.wrapped}`.execute(db);
      return numAffectedRows === 1n;
    },

    async dataKeysOf(tenantId: string): Promise<DataKeyRow[]> {
      const { rows } = await sql<DataKeyRow>`
        select ${columns} from data_keys where tenant_id = ${tenantId} order by id`.execute(db);
      return rows;
    },

    async customerKey(tenantId: string): Promise<{ kek: string; updated_at: Date } | null> {
      const { rows } = await sql<{ kek: string; updated_at: Date }>`
        select kek, updated_at from tenant_encryption_keys where tenant_id = ${tenantId}`.execute(db);
      return rows[0] ?? null;
    },
    async customerKeks(): Promise<ReadonlySet<string>> {
      const { rows } = await sql<{ kek: string }>`select distinct kek from tenant_encryption_keys`.execute(
        db,
      );
      return new Set(rows.map(({ kek }) => kek));
    },
    /** @throws AppError `not_found` when there is no such tenant. */
    async putCustomerKey(tenantId: string, kek: string, at: Date): Promise<void> {
      const { numAffectedRows } = await sql`
        insert into tenant_encryption_keys (tenant_id, kek, created_at, updated_at)
        select id, ${kek}, ${at}, ${at} from tenants where id = ${tenantId}
        on conflict (tenant_id) do update set kek = excluded.kek, updated_at = excluded.updated_at`.execute(
        db,
      );
      if (numAffectedRows !== 1n) throw notFound('tenant');
    },
    async removeCustomerKey(tenantId: string): Promise<boolean> {
      const { numAffectedRows } = await sql`
        delete from tenant_encryption_keys where tenant_id = ${tenantId}`.execute(db);
      return numAffectedRows === 1n;
    },

    /** Which of these are there, and one that each key-encryption key wrapped. */
    async stillThere(ids: readonly string[]): Promise<DataKeyRow[]> {
      const { rows } = await sql<DataKeyRow>`
        select ${columns} from data_keys where id = any(${ids}::uuid[])`.execute(db);
      return rows;
    },

    async supersededBefore(at: Date): Promise<string[]> {
      const { rows } = await sql<{ id: string }>`select id from data_keys
        where superseded_at < ${at} and retired_at is null order by id limit 10000`.execute(db);
      return rows.map(({ id }) => id);
    },

    async retire(ids: readonly string[], at: Date): Promise<void> {
      await sql`update data_keys set retired_at = ${at}
        where id = any(${ids}::uuid[]) and retired_at is null`.execute(db);
    },

    async kekUses(): Promise<KekUse[]> {
      const { rows } = await sql<{ kek_id: string; n: bigint; oldest: Date }>`
        select kek_id, count(*) as n, min(wrapped_at) as oldest from data_keys group by kek_id order by kek_id`.execute(
        db,
      );
      return rows.map(({ kek_id, n, oldest }) => ({
        kekId: kek_id,
        dataKeys: Number(n),
        oldestWrappedAt: oldest,
      }));
    },

    /** One for each key-encryption key, to try it on: the platform's own where it is among them. */
    async oneOfEachKek(): Promise<DataKeyRow[]> {
      const { rows } = await sql<DataKeyRow>`
        select distinct on (kek_id) ${columns} from data_keys order by kek_id, tenant_id nulls first, id`.execute(
        db,
      );
      return rows;
    },

    async counts(): Promise<DataKeyCounts> {
      const { rows } = await sql<{
        current: bigint;
        superseded: bigint;
        retired: bigint;
        oldest: Date | null;
      }>`
        select count(*) filter (where superseded_at is null) as current,
          count(*) filter (where superseded_at is not null and retired_at is null) as superseded,
          count(*) filter (where retired_at is not null) as retired,
          min(created_at) filter (where superseded_at is null) as oldest
        from data_keys`.execute(db);
      const [row] = rows;
      return {
        current: Number(row?.current ?? 0),
        superseded: Number(row?.superseded ?? 0),
        retired: Number(row?.retired ?? 0),
        oldestCurrentAt: row?.oldest ?? null,
      };
    },

    /** Says which keys an instance has, and forgets those that said nothing for a day. */
    async hold(instanceId: string, kekIds: readonly string[]): Promise<void> {
      await sql`insert into key_holders (instance_id, kek_ids, seen_at) values (${instanceId}, ${kekIds}, now())
        on conflict (instance_id) do update set kek_ids = excluded.kek_ids, seen_at = excluded.seen_at`.execute(
        db,
      );
      await sql`delete from key_holders where seen_at < now() - ${holderForgottenAfter}::interval`.execute(
        db,
      );
    },

    async holders(): Promise<ReadonlyMap<string, readonly string[]>> {
      const { rows } = await sql<{ instance_id: string; kek_ids: string[] }>`
        select instance_id, kek_ids from key_holders`.execute(db);
      return new Map(rows.map(({ instance_id, kek_ids }) => [instance_id, kek_ids]));
    },

    /** Whether every instance could open what data keys seal, at some time before now. */
    envelopeBegan: async (): Promise<boolean> => (await setting(envelope)) !== undefined,
    async beginEnvelope(at: Date): Promise<void> {
      await sql`insert into platform_settings (name, value, updated_at)
        values (${envelope}, ${JSON.stringify({ since: at })}::jsonb, ${at}) on conflict (name) do nothing`.execute(
        db,
      );
    },

    /** Of the master key that sealed values of the version before; null when none is recorded. */
    async fingerprint(): Promise<string | null> {
      const value = (await setting(fingerprint)) as { fingerprint?: string } | undefined;
      return value?.fingerprint ?? null;
    },
    async putFingerprint(value: string, at: Date): Promise<void> {
      await sql`insert into platform_settings (name, value, updated_at)
        values (${fingerprint}, ${JSON.stringify({ fingerprint: value })}::jsonb, ${at})
        on conflict (name) do update set value = excluded.value, updated_at = excluded.updated_at
        where platform_settings.value <> excluded.value`.execute(db);
    },

    /** Runs `work` while no other instance makes a key. @returns null when one does. */
    makingKeys: <T>(work: () => Promise<T>): Promise<T | null> =>
      db.transaction().execute(async (tx) => {
        const { rows } = await sql<{ mine: boolean }>`
          select pg_try_advisory_xact_lock(${makingKeysLock}) as mine`.execute(tx);
        return rows[0]?.mine ? work() : null;
      }),
  };
}

async function insert(db: Tx | Database['platform'], row: NewDataKey): Promise<void> {
  await sql`insert into data_keys (id, tenant_id, wrapped, kek_id, created_at, wrapped_at)
    values (${row.id}, ${row.tenant_id}, ${row.wrapped}, ${row.kek_id}, ${row.created_at}, ${row.created_at})
    on conflict (tenant_id) where superseded_at is null do nothing`.execute(db);
}
