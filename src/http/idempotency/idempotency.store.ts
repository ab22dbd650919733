import { sql } from 'kysely';
import type { Database } from '../../platform/database/database.ts';

/** Whose key it is: the same name from another tenant or credential is another key. */
export interface KeyPlace {
  readonly tenantId: string;
  readonly caller: string;
  readonly key: string;
}

export interface KeyRow {
  readonly requestHash: Buffer;
  /** Null while there is none. */
  readonly sealedReply: string | null;
}

export interface Claim {
  readonly requestHash: Buffer;
  /** The process that claims; null within the transaction that is to be committed with the reply. */
  readonly heldBy: string | null;
  /** The other processes that live: what another held is free. */
  readonly living: readonly string[];
  readonly now: Date;
  readonly expiresAt: Date;
  /** What the caller may read now, where the reply will tell of it: a reply made under another is as good as none. */
  readonly standing: string | null;
}

/** How long a reply is kept, from when its request came. */
export const keptForMs = 24 * 3_600_000;
/** How long a claim waits for a transaction of another process that holds the same key. */
const lockWaitMs = 5_000;

export type IdempotencyStore = ReturnType<typeof createIdempotencyStore>;

export function createIdempotencyStore(database: Pick<Database, 'platform'>) {
  return {
    /**
     * Takes the key, where it is new, has expired, or was held by a process that is no more.
     * @returns null when it is taken now; else the row in the way. @throws with code 55P03 when another process is at it.
     */
    claim(place: KeyPlace, claim: Claim): Promise<KeyRow | null> {
      return database.platform.transaction().execute(async (tx) => {
        await sql`select set_config('lock_timeout', ${String(lockWaitMs)}, true)`.execute(tx);
        const taken = await sql`
          insert into idempotency_keys as k
            (tenant_id, caller, key, request_hash, held_by, expires_at, standing)
          values (${place.tenantId}, ${place.caller}, ${place.key}, ${claim.requestHash}, ${claim.heldBy},
            ${claim.expiresAt}, ${claim.standing})
          on conflict (tenant_id, caller, key) do update
          set request_hash = excluded.request_hash, held_by = excluded.held_by, sealed_reply = null,
            expires_at = excluded.expires_at, standing = excluded.standing
          where k.expires_at <= ${claim.now} or (k.request_hash = excluded.request_hash and case
            when k.sealed_reply is null then not k.held_by = any(${claim.living as string[]}::uuid[])
            else k.standing is distinct from excluded.standing end)
          returning 1`.execute(tx);
        await sql`select set_config('lock_timeout', '0', true)`.execute(tx);
        if (taken.rows.length > 0) return null;
        const { rows } = await sql<{ request_hash: Buffer; sealed_reply: string | null }>`
          select request_hash, sealed_reply from idempotency_keys
          where tenant_id = ${place.tenantId} and caller = ${place.caller} and key = ${place.key}`.execute(
          tx,
        );
        const [row] = rows;
        // Swept away meanwhile: the next try finds it free.
        return {
          requestHash: row?.request_hash ?? claim.requestHash,
          sealedReply: row?.sealed_reply ?? null,
        };
      });
    },

    /** Keeps the reply of whoever claimed the key as `heldBy`; nothing when the key was taken from them meanwhile. */
    async keep(
      { tenantId, caller, key }: KeyPlace,
      heldBy: string | null,
      sealedReply: string,
    ): Promise<void> {
      await sql`update idempotency_keys set sealed_reply = ${sealedReply}, held_by = null
        where tenant_id = ${tenantId} and caller = ${caller} and key = ${key}
          and held_by is not distinct from ${heldBy}::uuid`.execute(database.platform);
    },

    async forget({ tenantId, caller, key }: KeyPlace): Promise<void> {
      await sql`delete from idempotency_keys
        where tenant_id = ${tenantId} and caller = ${caller} and key = ${key}`.execute(database.platform);
    },

    /**
     * Removes what a tenant was answered that tells of documents, or with `remove` false only looks for it.
     * @param claimedBy requests that began later do not matter. Of those under way nothing will be kept.
     * @returns how many there were.
     */
    async repliesAboutDocuments(tenantId: string, claimedBy: Date, remove: boolean): Promise<number> {
      const expiresBy = new Date(claimedBy.getTime() + keptForMs);
      const which = sql`from idempotency_keys
        where tenant_id = ${tenantId} and standing is not null and expires_at <= ${expiresBy}`;
      if (remove) {
        const { numAffectedRows } = await sql`delete ${which}`.execute(database.platform);
        return Number(numAffectedRows ?? 0n);
      }
      const { rows } = await sql<{ left: number }>`select count(*)::int as left ${which}`.execute(
        database.platform,
      );
      return rows[0]?.left ?? 0;
    },

    /** @returns how many expired rows were removed, `limit` at most. */
    async sweep(now: Date, limit: number): Promise<number> {
      const { numAffectedRows } = await sql`
        delete from idempotency_keys where ctid = any(array(
          select ctid from idempotency_keys where expires_at <= ${now} limit ${limit} for update skip locked))`.execute(
        database.platform,
      );
      return Number(numAffectedRows ?? 0n);
    },
  };
}
