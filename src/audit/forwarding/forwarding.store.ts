import { sql } from 'kysely';
import type { Database } from '../../platform/database/database.ts';
import type { BatchLine, Destination } from './destination.ts';

export interface DestinationRow {
  readonly name: string;
  readonly kind: Destination['kind'];
  readonly enabled: boolean;
  readonly shown: Destination;
  readonly sealed: string | null;
  /** Where the secret is kept, when it is not kept here. */
  readonly secret_reference: string | null;
  /** Null: all. */
  readonly tenants: string[] | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly tries: number;
  readonly next_try_at: Date | null;
  readonly failing_since: Date | null;
  readonly last_error: string | null;
}

/** How far behind a destination is. */
export interface Lag {
  readonly name: string;
  readonly kind: Destination['kind'];
  /** Entries that have their place in the tree and have not been forwarded. */
  readonly entries: number;
  /** When the oldest of them was written; null: there is none. */
  readonly oldest: Date | null;
  /** Entries that were pruned before they could be forwarded. */
  readonly lost: number;
}

/** A log that has more than a destination got. */
export interface Pending {
  readonly tenantId: string;
  readonly nextLeaf: number;
  readonly size: number;
  /** Entries between what was forwarded and what is still there. */
  readonly lost: number;
}

export type ForwardingStore = ReturnType<typeof createForwardingStore>;

const columns = sql.raw(
  'name, kind, enabled, shown, sealed, secret_reference, tenants, created_at, updated_at, tries, next_try_at, failing_since, last_error',
);
/** Logs of one destination that are looked at in one round. */
const maxLogs = 100;

/** SQL of forwarding. As the owner role: destinations are the platform's, and logs are every tenant's. */
export function createForwardingStore(database: Pick<Database, 'platform'>) {
  const db = database.platform;
  return {
    async list(): Promise<DestinationRow[]> {
      const { rows } =
        await sql<DestinationRow>`select ${columns} from audit_destinations order by name limit 100`.execute(
          db,
        );
      return rows;
    },

    async find(name: string): Promise<DestinationRow | null> {
      const { rows } =
        await sql<DestinationRow>`select ${columns} from audit_destinations where name = ${name}`.execute(db);
      return rows[0] ?? null;
    },

    /** Adds it, or puts it in place of the one before: what failed before is tried at once. How far it got stays. */
    async put(
      row: Pick<
        DestinationRow,
        'name' | 'kind' | 'enabled' | 'shown' | 'sealed' | 'secret_reference' | 'tenants'
      >,
      at: Date,
    ): Promise<void> {
      await sql`insert into audit_destinations (name, kind, enabled, shown, sealed, secret_reference, tenants,
          created_at, updated_at)
        values (${row.name}, ${row.kind}, ${row.enabled}, ${JSON.stringify(row.shown)}::jsonb, ${row.sealed},
          ${row.secret_reference}, ${row.tenants}::uuid[], ${at}, ${at})
        on conflict (name) do update set kind = excluded.kind, enabled = excluded.enabled, shown = excluded.shown,
          sealed = excluded.sealed, secret_reference = excluded.secret_reference, tenants = excluded.tenants, updated_at = excluded.updated_at,
          tries = 0, next_try_at = null, failing_since = null, last_error = null`.execute(db);
    },

    async remove(name: string): Promise<boolean> {
      const { numAffectedRows } = await sql`delete from audit_destinations where name = ${name}`.execute(db);
      return numAffectedRows === 1n;
    },

    /**
     * Claims what is due and nobody else has, by the database's clock.
     * @param mine destinations that this claim has already: they are not claimed again, and kept.
     */
    async claim(claim: string, forMs: number, mine: readonly string[]): Promise<DestinationRow[]> {
      await sql`update audit_destinations set claimed_until = now() + ${forMs} * interval '1 ms'
        where claim = ${claim} and name = any (${mine}::text[])`.execute(db);
      const { rows } = await sql<DestinationRow>`
        update audit_destinations set claim = ${claim}, claimed_until = now() + ${forMs} * interval '1 ms'
        where name in (
          select name from audit_destinations
          where enabled and (next_try_at is null or next_try_at <= now())
            and (claimed_until is null or claimed_until <= now()) and name <> all (${mine}::text[])
          for update skip locked)
        returning ${columns}`.execute(db);
      return rows;
    },

    /** Lets go of it. A failure is told, and when it may be tried again. */
    async release(
      name: string,
      claim: string,
      failure: { readonly error: string; readonly inMs: number } | null,
    ): Promise<void> {
      const told =
        failure === null
          ? sql`tries = 0, next_try_at = null, failing_since = null, last_error = null`
          : sql`tries = tries + 1, next_try_at = now() + ${failure.inMs} * interval '1 ms',
              failing_since = coalesce(failing_since, now()), last_error = ${failure.error.slice(0, 500)}`;
      await sql`update audit_destinations set claim = null, claimed_until = null, ${told}
        where name = ${name} and claim = ${claim}`.execute(db);
    },

    /** Logs with more than it got, those that waited longest first. */
    async pending(name: string): Promise<Pending[]> {
      const { rows } = await sql<{ tenant_id: string; next_leaf: bigint; size: bigint; lost: bigint }>`
        select l.tenant_id, greatest(coalesce(f.next_leaf, l.first_leaf), l.first_leaf) as next_leaf, l.size,
          greatest(l.first_leaf - coalesce(f.next_leaf, l.first_leaf), 0) as lost
        from audit_destinations d
        join audit_logs l on d.tenants is null or l.tenant_id = any (d.tenants)
        left join audit_forwarded f on f.destination = d.name and f.tenant_id = l.tenant_id
        where d.name = ${name} and l.size > coalesce(f.next_leaf, 0)
        order by f.at nulls first, l.tenant_id limit ${maxLogs}`.execute(db);
      return rows.map(({ tenant_id, next_leaf, size, lost }) => ({
        tenantId: tenant_id,
        nextLeaf: Number(next_leaf),
        size: Number(size),
        lost: Number(lost),
      }));
    },

    /**
     * Entries from a leaf on with the heads right behind those that they cover, up to the last head among them: so what is
     * forwarded is always covered.
     */
    async stretch(
      tenantId: string,
      first: number,
      limit: number,
    ): Promise<{ next: number; lines: BatchLine[] }> {
      const { rows: heads } = await sql<HeadRow>`
        select size, at, root, key_id, signature from audit_heads
        where tenant_id = ${tenantId} and size > ${first} and size <= ${first + limit} order by size, at`.execute(
        db,
      );
      const next = Number(heads.at(-1)?.size ?? first);
      const { rows } = await sql<{ leaf: bigint; at: Date; action: string; outcome: string; entry: string }>`
        select l.leaf, e.at, e.action, e.outcome, e.entry from audit_leaves l join audit_entries e on e.id = l.entry_id
        where l.tenant_id = ${tenantId} and l.leaf >= ${first} and l.leaf < ${next} order by l.leaf`.execute(
        db,
      );
      // What was pruned meanwhile is found to be lost in the next round.
      if (rows.length !== next - first) return { next: first, lines: [] };
      const headsOf = Map.groupBy(heads, ({ size }) => Number(size));
      const lines = rows.flatMap(({ leaf, at, action, outcome, entry }) => {
        const number = Number(leaf);
        const text = `{"leaf":${number},"entry":${entry}}`;
        return [
          { text, at, leaf: number, action, outcome },
          ...(headsOf.get(number + 1) ?? []).map((head) => headLine(tenantId, head)),
        ];
      });
      return { next, lines };
    },

    /** @returns false when another process has it by now, or has got further. */
    async advance(
      { name, claim }: { readonly name: string; readonly claim: string },
      log: { readonly tenantId: string; readonly from: number; readonly to: number; readonly lost: number },
    ): Promise<boolean> {
      const { numAffectedRows } = await sql`
        insert into audit_forwarded as f (destination, tenant_id, next_leaf, lost, at)
        select name, ${log.tenantId}::uuid, ${log.to}::bigint, ${log.lost}::bigint, now()
        from audit_destinations where name = ${name} and claim = ${claim} and enabled
        on conflict (destination, tenant_id) do update
          set next_leaf = excluded.next_leaf, lost = f.lost + excluded.lost, at = now()
          where f.next_leaf <= ${log.from}`.execute(db);
      return numAffectedRows === 1n;
    },

    async lags(): Promise<Lag[]> {
      const { rows } = await sql<{
        name: string;
        kind: Destination['kind'];
        entries: bigint | null;
        oldest: Date | null;
        lost: bigint | null;
      }>`
        select d.name, d.kind, sum(l.size - greatest(coalesce(f.next_leaf, l.first_leaf), l.first_leaf))::bigint as entries,
          min(e.at) as oldest, sum(coalesce(f.lost, 0))::bigint as lost
        from audit_destinations d
        left join audit_logs l on d.tenants is null or l.tenant_id = any (d.tenants)
        left join audit_forwarded f on f.destination = d.name and f.tenant_id = l.tenant_id
        left join audit_leaves a on a.tenant_id = l.tenant_id
          and a.leaf = greatest(coalesce(f.next_leaf, l.first_leaf), l.first_leaf)
        left join audit_entries e on e.id = a.entry_id
        group by d.name, d.kind order by d.name limit 100`.execute(db);
      return rows.map(({ name, kind, entries, oldest, lost }) => ({
        name,
        kind,
        entries: Number(entries ?? 0),
        oldest,
        lost: Number(lost ?? 0),
      }));
    },
  };
}

interface HeadRow {
  readonly size: bigint;
  readonly at: Date;
  readonly root: Buffer;
  readonly key_id: string;
  readonly signature: Buffer;
}

function headLine(tenantId: string, { size, at, root, key_id, signature }: HeadRow): BatchLine {
  const head = {
    tenant_id: tenantId,
    size: Number(size),
    root: root.toString('hex'),
    at: at.toISOString(),
    key_id,
    signature: signature.toString('hex'),
  };
  return { text: JSON.stringify({ head }), at, leaf: null, action: 'tree_head', outcome: 'done' };
}
