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
}

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
          insert into idempotency_keys as k (tenant_id, caller, key, request_hash, held_by, expires_at)
          values (${place.tenantId}, ${place.caller}, ${place.key}, ${claim.requestHash}, ${claim.heldBy}, ${claim.expiresAt})
          on conflict (tenant_id, caller, key) do update
          set request_hash = excluded.request_hash, held_by = excluded.held_by, sealed_reply = null,
            expires_at = excluded.expires_at
          where k.expires_at <= ${claim.now} or (k.sealed_reply is null and k.request_hash = excluded.request_hash
            and not k.held_by = any(${claim.living as string[]}::uuid[]))
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

    async keep({ tenantId, caller, key }: KeyPlace, sealedReply: string): Promise<void> {
      await sql`update idempotency_keys set sealed_reply = ${sealedReply}, held_by = null
        where tenant_id = ${tenantId} and caller = ${caller} and key = ${key}`.execute(database.platform);
    },

    async forget({ tenantId, caller, key }: KeyPlace): Promise<void> {
      await sql`delete from idempotency_keys
        where tenant_id = ${tenantId} and caller = ${caller} and key = ${key}`.execute(database.platform);
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
