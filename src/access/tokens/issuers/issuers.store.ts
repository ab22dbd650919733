import { type Kysely, type Selectable, sql } from 'kysely';
import type { Database } from '../../../platform/database/database.ts';
import type { ClaimMapping } from './claim-mapping.ts';

type TokenIssuerTable = {
  id: string;
  /** Null: the platform's. */
  tenant_id: string | null;
  name: string;
  issuer: string;
  audiences: string[];
  jwks_uri: string | null;
  algorithms: string[];
  mapping: unknown;
  clock_skew_seconds: number;
  max_age_seconds: number;
  enabled: boolean;
  created_by: string;
  created_at: Date;
  updated_at: Date;
};
type Tables = { token_issuers: TokenIssuerTable };

export type TokenIssuerRow = Omit<Selectable<TokenIssuerTable>, 'mapping'> & {
  readonly mapping: ClaimMapping;
};
export type TokenIssuersStore = ReturnType<typeof createTokenIssuersStore>;

/**
 * SQL of issuers whose tokens are accepted. An administrator's statements run as the tenant; the platform's issuers belong to
 * none, and whoever presents a token is in no tenant yet.
 */
export function createTokenIssuersStore(database: Database) {
  const platform = database.platform.withTables<Tables>();
  /** @param owner null: the platform's settings, of its owners. */
  const settingsOf = <T>(owner: string | null, work: (tx: Kysely<Tables>) => Promise<T>): Promise<T> =>
    owner === null
      ? platform.transaction().execute(work)
      : database.inTenant({ tenantId: owner, readerTokens: [] }, (tx) => work(tx.withTables<Tables>()));
  const owned = (owner: string | null) =>
    owner === null ? sql<boolean>`tenant_id is null` : sql<boolean>`tenant_id = ${owner}`;
  const ofOwner = async (tx: Kysely<Tables>, owner: string | null): Promise<TokenIssuerRow[]> =>
    (await tx.selectFrom('token_issuers').selectAll().where(owned(owner)).orderBy('name').execute()).map(
      typed,
    );

  return {
    /** Of every tenant and the platform, oldest first. */
    all: async (): Promise<TokenIssuerRow[]> =>
      (
        await platform.selectFrom('token_issuers').selectAll().orderBy('created_at').orderBy('id').execute()
      ).map(typed),

    list: (owner: string | null): Promise<TokenIssuerRow[]> => settingsOf(owner, (tx) => ofOwner(tx, owner)),

    named: async (owner: string | null, name: string): Promise<TokenIssuerRow | undefined> =>
      (await settingsOf(owner, (tx) => ofOwner(tx, owner))).find((row) => row.name === name),

    /** @param check sees what the owner has besides, which nobody else changes meanwhile; it may throw. */
    put: (
      owner: string | null,
      row: TokenIssuerRow,
      check: (others: readonly TokenIssuerRow[]) => void,
    ): Promise<TokenIssuerRow> =>
      settingsOf(owner, async (tx) => {
        await sql`select pg_advisory_xact_lock(hashtextextended(${`token issuers of ${owner}`}, 0))`.execute(
          tx,
        );
        check((await ofOwner(tx, owner)).filter(({ name }) => name !== row.name));
        const stored = { ...row, mapping: JSON.stringify(row.mapping) };
        const {
          id: _id,
          tenant_id: _tenant,
          name: _name,
          created_at: _at,
          created_by: _by,
          ...changed
        } = stored;
        return tx
          .insertInto('token_issuers')
          .values(stored)
          .onConflict((conflict) => conflict.columns(['tenant_id', 'name']).doUpdateSet(changed))
          .returningAll()
          .executeTakeFirstOrThrow()
          .then(typed);
      }),

    remove: (owner: string | null, name: string): Promise<boolean> =>
      settingsOf(owner, async (tx) => {
        const done = await tx
          .deleteFrom('token_issuers')
          .where(owned(owner))
          .where('name', '=', name)
          .executeTakeFirst();
        return done.numDeletedRows > 0n;
      }),
  };
}

/** Mappings are written by one function only, from what the schema let through. */
function typed(row: Selectable<TokenIssuerTable>): TokenIssuerRow {
  return { ...row, mapping: row.mapping as ClaimMapping };
}
