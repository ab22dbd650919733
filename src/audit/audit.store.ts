import { sql } from 'kysely';
import type { Database, DatabaseScope, Tx } from '../platform/database/database.ts';
import type { PageCursor } from '../platform/page.ts';
import type { Hash, Subtree } from './merkle-tree.ts';
import { readNodes } from './sequencer.store.ts';
import type { SignedTreeHead } from './tree-head.ts';

/** An entry as lists show it. */
export interface AuditRow {
  readonly id: string;
  readonly created_at: Date;
  /** Null until it has its place in the tree, for about a second. */
  readonly leaf: bigint | null;
  /** JSON, as it was hashed. */
  readonly entry: string;
}

export interface AuditFilters {
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
  /** `user:<id>`, `key:<id>` or `platform`. */
  readonly actor?: string | undefined;
  /** An action's name, or its beginning up to a dot: `document` stands for `document.created` and the others. */
  readonly action?: string | undefined;
  readonly targetType?: string | undefined;
  readonly targetId?: string | undefined;
  readonly outcome?: 'done' | 'denied' | 'failed' | undefined;
  readonly correlationId?: string | undefined;
}

export interface LogState {
  readonly size: number;
  /** Entries before it were pruned. */
  readonly firstLeaf: number;
}

export type AuditStore = ReturnType<typeof createAuditStore>;

/** SQL of reading a tenant's log, under row-level security. */
export function createAuditStore(database: Database) {
  const state = async (tx: Tx, scope: DatabaseScope): Promise<LogState> => {
    const { rows } = await sql<{ size: bigint; first_leaf: bigint }>`
      select size, first_leaf from audit_logs where tenant_id = ${scope.tenantId}`.execute(tx);
    return { size: Number(rows[0]?.size ?? 0), firstLeaf: Number(rows[0]?.first_leaf ?? 0) };
  };
  const heads = async (tx: Tx, scope: DatabaseScope, where: 'latest' | { from: number; to: number }) => {
    const chosen =
      where === 'latest'
        ? sql`order by size desc, at desc limit 1`
        : sql`and size between ${where.from} and ${where.to} order by size, at`;
    const { rows } = await sql<{ size: bigint; at: Date; root: Buffer; key_id: string; signature: Buffer }>`
      select size, at, root, key_id, signature from audit_heads where tenant_id = ${scope.tenantId} ${chosen}`.execute(
      tx,
    );
    return rows.map(
      ({ size, at, root, key_id, signature }): SignedTreeHead => ({
        tenantId: scope.tenantId,
        size: Number(size),
        at,
        root,
        keyId: key_id,
        signature,
      }),
    );
  };

  return {
    /** A page of entries, newest first. */
    page: (
      scope: DatabaseScope,
      filters: AuditFilters,
      page: { limit: number; after: PageCursor | null },
    ): Promise<AuditRow[]> =>
      database.inTenant(scope, async (tx) => {
        const { rows } = await sql<AuditRow>`
          select e.id, e.at as created_at, l.leaf, e.entry
          from audit_entries e left join audit_leaves l on l.entry_id = e.id
          where e.tenant_id = ${scope.tenantId} ${conditions(filters, page.after)}
          order by e.at desc, e.id desc limit ${page.limit}`.execute(tx);
        return rows;
      }),

    entry: (scope: DatabaseScope, id: string): Promise<AuditRow | undefined> =>
      database.inTenant(scope, async (tx) => {
        const { rows } = await sql<AuditRow>`
          select e.id, e.at as created_at, l.leaf, e.entry
          from audit_entries e left join audit_leaves l on l.entry_id = e.id where e.id = ${id}`.execute(tx);
        return rows[0];
      }),

    state: (scope: DatabaseScope) => database.inTenant(scope, (tx) => state(tx, scope)),

    latestHead: (scope: DatabaseScope): Promise<SignedTreeHead | undefined> =>
      database.inTenant(scope, async (tx) => (await heads(tx, scope, 'latest'))[0]),

    nodes: (
      scope: DatabaseScope,
      subtrees: readonly Subtree[],
    ): Promise<(Subtree & { readonly hash: Hash })[]> =>
      database.inTenant(scope, (tx) => readNodes(tx, scope.tenantId, subtrees)),

    /** Entries from a leaf on, in their order, at most `limit`; with the heads that were signed right behind each. */
    stretch: (scope: DatabaseScope, firstLeaf: number, size: number, limit: number) =>
      database.inTenant(scope, async (tx) => {
        const end = Math.min(firstLeaf + limit, size);
        const { rows } = await sql<{ leaf: bigint; entry: string }>`
          select l.leaf, e.entry from audit_leaves l join audit_entries e on e.id = l.entry_id
          where l.tenant_id = ${scope.tenantId} and l.leaf >= ${firstLeaf} and l.leaf < ${end}
          order by l.leaf`.execute(tx);
        return {
          entries: rows.map(({ leaf, entry }) => ({ leaf: Number(leaf), entry })),
          heads: await heads(tx, scope, { from: firstLeaf + 1, to: end }),
        };
      }),

    /** The keys that ever signed: ids and public halves. */
    async publicKeys(): Promise<
      { id: string; publicKey: string; createdAt: Date; retiredAt: Date | null }[]
    > {
      const { rows } = await sql<{
        id: string;
        public_key: string;
        created_at: Date;
        retired_at: Date | null;
      }>`
        select id, public_key, created_at, retired_at from audit_keys order by created_at limit 1000`.execute(
        database.platform,
      );
      return rows.map(({ id, public_key, created_at, retired_at }) => ({
        id,
        publicKey: public_key,
        createdAt: created_at,
        retiredAt: retired_at,
      }));
    },

    /** Adds an entry that no change of a table makes: a sign-in, a denial, an export, an administrative reading. */
    note: (
      scope: DatabaseScope,
      { action, targetType, targetId, outcome, details }: NotedEntry,
    ): Promise<void> =>
      database.inTenant(scope, async (tx) => {
        await sql`select audit_add(${scope.tenantId}::uuid, ${action}::text, ${targetType}::text, ${targetId}::text,
          ${outcome}::text, null, ${details === null ? null : JSON.stringify(details)}::jsonb)`.execute(tx);
      }),
  };
}

export interface NotedEntry {
  /** Such as `session.refused` or `audit_log.exported`. */
  readonly action: string;
  readonly targetType: string;
  readonly targetId: string | null;
  readonly outcome: 'done' | 'denied' | 'failed';
  /** What else is worth telling; no secrets. */
  readonly details: Readonly<Record<string, unknown>> | null;
}

function conditions(filters: AuditFilters, after: PageCursor | null) {
  const { from, to, actor, action, targetType, targetId, outcome, correlationId } = filters;
  const parts = [
    from ? sql`and e.at >= ${from}` : null,
    to ? sql`and e.at < ${to}` : null,
    actor ? sql`and e.actor = ${actor}` : null,
    action ? sql`and (e.action = ${action} or starts_with(e.action, ${`${action}.`}))` : null,
    targetType ? sql`and e.target_type = ${targetType}` : null,
    targetId ? sql`and e.target_id = ${targetId}` : null,
    outcome ? sql`and e.outcome = ${outcome}` : null,
    correlationId ? sql`and e.correlation_id = ${correlationId}` : null,
    after ? sql`and (e.at, e.id) < (${after.createdAt}, ${after.id}::uuid)` : null,
  ].filter((part) => part !== null);
  return parts.length === 0 ? sql`` : sql.join(parts, sql` `);
}
