import { sql } from 'kysely';
import type { Database } from '../platform/database/database.ts';
import { isStale, type SealedColumn, type SealedRow } from '../platform/keyring/sealed-columns.ts';
import type { ProviderRow, SealedKey } from './routing.store.ts';
import { purposeOf } from './stored-keys.ts';

type KeyRow = Pick<ProviderRow, 'id' | 'tenant_id' | 'sealed_key' | 'sealed_keys'>;

/** Keys of providers, as the keyring seals them anew. Their revision stays: they are the same keys. */
export function sealedProviderKeys(database: Pick<Database, 'platform'>): SealedColumn {
  const db = database.platform;
  const stale = sql.raw(`(sealed_key is not null and ${isStale('sealed_key')}
    or exists (select from jsonb_array_elements(coalesce(sealed_keys, '[]')) as k (key) where ${isStale("(k.key ->> 'sealed')")}))`);
  const read = new WeakMap<SealedRow, KeyRow>();
  return {
    name: 'providers.sealed_keys',
    async stale(after, limit) {
      const { rows } = await sql<KeyRow>`select id, tenant_id, sealed_key, sealed_keys from providers
        where ${stale} and ${after === null ? sql`true` : sql`id > ${after}`} order by id limit ${limit}`.execute(
        db,
      );
      return rows.map((row) => {
        const shown = { id: row.id, tenantId: row.tenant_id, values: valuesOf(row) };
        read.set(shown, row);
        return shown;
      });
    },
    async countStale() {
      const { rows } = await sql<{ n: bigint }>`select count(*) as n from providers where ${stale}`.execute(
        db,
      );
      return Number(rows[0]?.n ?? 0);
    },
    async replace(row, values) {
      const before = read.get(row);
      if (!before) throw new Error('not a row that was read here');
      const [first = null] = values;
      const keys =
        before.sealed_keys?.map((key, i): SealedKey => ({ ...key, sealed: values[i] ?? key.sealed })) ?? null;
      const { numAffectedRows } = await sql`update providers
        set sealed_key = ${first}, sealed_keys = ${jsonOf(keys)}
        where id = ${row.id} and sealed_key is not distinct from ${before.sealed_key}
          and sealed_keys is not distinct from ${jsonOf(before.sealed_keys)}`.execute(db);
      return numAffectedRows === 1n;
    },
  };
}

/** The first of several keys is in `sealed_key` as well. */
function valuesOf(row: KeyRow): SealedRow['values'] {
  if (row.sealed_keys !== null) {
    return row.sealed_keys.map(({ sealed, reference }) => ({
      sealed,
      purpose: purposeOf(row.id, reference !== undefined),
    }));
  }
  return row.sealed_key === null ? [] : [{ sealed: row.sealed_key, purpose: purposeOf(row.id, false) }];
}

function jsonOf(keys: readonly SealedKey[] | null) {
  return keys === null ? sql`null::jsonb` : sql`${JSON.stringify(keys)}::jsonb`;
}
