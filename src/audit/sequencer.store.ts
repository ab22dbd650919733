import { sql, type Transaction } from 'kysely';
import type { Database } from '../platform/database/database.ts';
import { type Hash, type Subtree, subtreesOf } from './merkle-tree.ts';
import { createSigningKeysStore, sequencerLock, signingKeyId } from './signing-keys.store.ts';
import type { SignedTreeHead } from './tree-head.ts';

/** An entry that has no place in its tenant's tree yet. */
export interface LooseEntry {
  readonly id: string;
  readonly tenantId: string;
  readonly entry: string;
}

export interface GrownTree {
  readonly tenantId: string;
  /** Before. */
  readonly size: number;
  readonly leaves: readonly { readonly leaf: number; readonly entryId: string }[];
  readonly nodes: readonly (Subtree & { readonly hash: Hash })[];
}

export interface StoredTree {
  readonly size: number;
  readonly nodes: readonly (Subtree & { readonly hash: Hash })[];
  readonly signedAt: Date | null;
}

export type SequencerStore = ReturnType<typeof createSequencerStore>;

/** SQL of giving entries their places. Runs as the owner role: the application may not touch the trees. */
export function createSequencerStore(database: Database) {
  return {
    ...createSigningKeysStore(database),
    signingKeyId,

    /**
     * Runs `work` in one transaction, alone among all instances.
     * @returns what it returned, or null when another one is at it.
     */
    alone<T>(work: (tx: Transaction<unknown>) => Promise<T>): Promise<T | null> {
      return database.platform.transaction().execute(async (tx) => {
        const { rows } = await sql<{
          mine: boolean;
        }>`select pg_try_advisory_xact_lock(${sequencerLock}) as mine`.execute(tx);
        return rows[0]?.mine ? work(tx) : null;
      });
    },

    /**
     * Entries of transactions that came before every one that still runs, in an order that never changes: by
     * transaction, then time. Moves the horizon behind them.
     */
    async take(tx: Transaction<unknown>, limit: number): Promise<LooseEntry[]> {
      const { rows } = await sql<{ id: string; tenant_id: string; entry: string; added_by: string }>`
        select e.id, e.tenant_id, e.entry, e.added_by::text
        from audit_entries e
        where e.added_by >= (select added_by from audit_horizon)
          and e.added_by < pg_snapshot_xmin(pg_current_snapshot())
          and not exists (select from audit_leaves l where l.entry_id = e.id)
        order by e.added_by, e.at, e.id limit ${limit}`.execute(tx);
      const last = rows.at(-1);
      const horizon =
        rows.length < limit || !last
          ? sql`pg_snapshot_xmin(pg_current_snapshot())`
          : sql`${last.added_by}::xid8`;
      await sql`update audit_horizon set added_by = ${horizon} where added_by < ${horizon}`.execute(tx);
      return rows.map(({ id, tenant_id, entry }) => ({ id, tenantId: tenant_id, entry }));
    },

    /**
     * A dump restored into another server has entries of transactions that this server has yet to come to. Numbers them
     * anew, as added by one transaction of this server, and lets the horizon begin again; what has its leaf keeps it.
     * @returns whether that was so.
     */
    renumberAfterRestore: (): Promise<boolean> =>
      database.platform.transaction().execute(async (tx) => {
        await sql`select pg_advisory_xact_lock(${sequencerLock})`.execute(tx);
        const { rows } = await sql<{
          ahead: boolean;
        }>`select pg_snapshot_xmax(pg_current_snapshot()) <= any (array[
          (select added_by from audit_horizon),
          (select added_by from audit_entries order by added_by desc limit 1)]) as ahead`.execute(tx);
        if (rows[0]?.ahead !== true) return false;
        await sql`set local statement_timeout = 0`.execute(tx);
        // Not an update, which the table refuses: the entries stay what they are.
        await sql`alter table audit_entries
          alter column added_by type xid8 using pg_current_xact_id()`.execute(tx);
        await sql`update audit_horizon set added_by = '0'`.execute(tx);
        return true;
      }),

    /** A tree's size, the hashes of the complete subtrees that its root is made of, and when it was signed last. */
    async treeOf(tx: Transaction<unknown>, tenantId: string): Promise<StoredTree> {
      await sql`insert into audit_logs (tenant_id) values (${tenantId}) on conflict do nothing`.execute(tx);
      const { rows } = await sql<{ size: bigint; signed_at: Date | null }>`
        select size, (select at from audit_heads where tenant_id = ${tenantId}
          order by size desc, at desc limit 1) as signed_at
        from audit_logs where tenant_id = ${tenantId}`.execute(tx);
      const size = Number(rows[0]?.size ?? 0);
      const nodes = await readNodes(tx, tenantId, subtreesOf({ start: 0, end: size }));
      return { size, nodes, signedAt: rows[0]?.signed_at ?? null };
    },

    /** Keeps what a tree has grown by. */
    async grow(tx: Transaction<unknown>, { tenantId, size, leaves, nodes }: GrownTree): Promise<void> {
      await sql`insert into audit_leaves (tenant_id, leaf, entry_id)
        select ${tenantId}, leaf, entry_id from unnest(${leaves.map(({ leaf }) => leaf)}::bigint[],
          ${leaves.map(({ entryId }) => entryId)}::uuid[]) as l (leaf, entry_id)`.execute(tx);
      await sql`insert into audit_nodes (tenant_id, level, index, hash)
        select ${tenantId}, level, index, hash from unnest(${nodes.map(({ level }) => level)}::smallint[],
          ${nodes.map(({ index }) => index)}::bigint[], ${nodes.map(({ hash }) => hash)}::bytea[])
          as n (level, index, hash)`.execute(tx);
      await sql`update audit_logs set size = ${size + leaves.length} where tenant_id = ${tenantId}`.execute(
        tx,
      );
    },

    async addHead(tx: Transaction<unknown>, { tenantId, size, at, root, keyId, signature }: SignedTreeHead) {
      await sql`insert into audit_heads (tenant_id, size, at, root, key_id, signature)
        values (${tenantId}, ${size}, ${at}, ${root}, ${keyId}, ${signature})`.execute(tx);
    },

    /**
     * Removes one tenant's entries before `until`, at most `limit` of them from the first one on. Their nodes go, too,
     * but for those that the proofs of later entries are made of.
     * @returns how many were removed.
     */
    async prune(tx: Transaction<unknown>, tenantId: string, until: Date, limit: number): Promise<number> {
      const { rows } = await sql<{ first_leaf: bigint; size: bigint; next: bigint | null }>`
        select first_leaf, size, (
          select min(l.leaf) from audit_leaves l join audit_entries e on e.id = l.entry_id
          where l.tenant_id = ${tenantId} and l.leaf < log.first_leaf + ${limit} and e.at >= ${until}) as next
        from audit_logs log where tenant_id = ${tenantId} for update`.execute(tx);
      const [log] = rows;
      if (!log) return 0;
      const first = Number(log.first_leaf);
      // The newest entry stays, so that a log that was in use is never empty.
      const end = Math.min(Number(log.next ?? first + limit), first + limit, Number(log.size) - 1);
      if (end <= first) return 0;
      await sql`with gone as (
          delete from audit_leaves where tenant_id = ${tenantId} and leaf < ${end} returning entry_id)
        delete from audit_entries e using gone where e.id = gone.entry_id`.execute(tx);
      const kept = subtreesOf({ start: 0, end });
      await sql`delete from audit_nodes n where tenant_id = ${tenantId} and (index + 1) * (1::bigint << level) <= ${end}
        and not exists (select from unnest(${kept.map(({ level }) => level)}::smallint[],
          ${kept.map(({ index }) => index)}::bigint[]) as k (level, index)
          where k.level = n.level and k.index = n.index)`.execute(tx);
      await sql`delete from audit_heads where tenant_id = ${tenantId} and size < ${end}`.execute(tx);
      await sql`update audit_logs set first_leaf = ${end} where tenant_id = ${tenantId}`.execute(tx);
      return end - first;
    },

    async tenantsWithEntriesBefore(until: Date): Promise<string[]> {
      const { rows } = await sql<{ tenant_id: string }>`
        select log.tenant_id from audit_logs log
        join audit_leaves l on l.tenant_id = log.tenant_id and l.leaf = log.first_leaf
        join audit_entries e on e.id = l.entry_id
        where e.at < ${until} and log.size > log.first_leaf + 1`.execute(database.platform);
      return rows.map(({ tenant_id }) => tenant_id);
    },
  };
}

/** @throws Error when one is missing: the tree is damaged. */
export async function readNodes(
  tx: Transaction<unknown>,
  tenantId: string,
  subtrees: readonly Subtree[],
): Promise<(Subtree & { readonly hash: Hash })[]> {
  if (subtrees.length === 0) return [];
  const { rows } = await sql<{ level: number; index: bigint; hash: Buffer }>`
    select n.level, n.index, n.hash from audit_nodes n
    join unnest(${subtrees.map(({ level }) => level)}::smallint[], ${subtrees.map(({ index }) => index)}::bigint[])
      as wanted (level, index) on wanted.level = n.level and wanted.index = n.index
    where n.tenant_id = ${tenantId}`.execute(tx);
  const found = new Map(rows.map(({ level, index, hash }) => [`${level}/${index}`, hash]));
  return subtrees.map(({ level, index }) => {
    const hash = found.get(`${level}/${index}`);
    if (!hash) throw new Error(`the audit tree of ${tenantId} lacks the subtree ${level}/${index}`);
    return { level, index, hash };
  });
}
