import { type Kysely, type Selectable, sql } from 'kysely';
import type { Database } from '../../platform/database/database.ts';
import type { MfaSettings } from './mfa-rule.ts';
import type { PeopleTables } from './people-tables.ts';

export type SignInPolicyRow = Selectable<PeopleTables['sign_in_policies']>;
export type SignInPolicyStore = ReturnType<typeof createSignInPolicyStore>;

/** SQL of what is asked of whoever signs in: a tenant's settings and the platform's. */
export function createSignInPolicyStore(database: Database) {
  const platform = database.platform.withTables<PeopleTables>();
  /** @param owner null: the platform's, of its owners. */
  const settingsOf = <T>(owner: string | null, work: (tx: Kysely<PeopleTables>) => Promise<T>): Promise<T> =>
    owner === null
      ? work(platform)
      : database.inTenant({ tenantId: owner, readerTokens: [] }, (tx) => work(tx.withTables<PeopleTables>()));

  return {
    /** What holds in a tenant, by both. */
    async settings(tenantId: string): Promise<MfaSettings> {
      const rows = await platform
        .selectFrom('sign_in_policies')
        .select(['tenant_id', 'require_mfa', 'owners_require_mfa'])
        .where((eb) => eb.or([eb('tenant_id', '=', tenantId), eb('tenant_id', 'is', null)]))
        .execute();
      const tenants = rows.find((row) => row.tenant_id !== null);
      const platforms = rows.find((row) => row.tenant_id === null);
      return {
        tenants: tenants?.require_mfa ?? null,
        platforms: platforms?.require_mfa ?? 'none',
        ofOwners: platforms?.owners_require_mfa ?? false,
      };
    },

    put: async (row: SignInPolicyRow): Promise<void> => {
      const { require_mfa, owners_require_mfa, updated_at } = row;
      await settingsOf(row.tenant_id, (tx) =>
        tx
          .insertInto('sign_in_policies')
          .values(row)
          .onConflict((conflict) =>
            conflict.column('tenant_id').doUpdateSet({ require_mfa, owners_require_mfa, updated_at }),
          )
          .execute(),
      );
    },

    /** The tenant says nothing any more. */
    remove: async (tenantId: string): Promise<void> => {
      await settingsOf(tenantId, (tx) =>
        tx.deleteFrom('sign_in_policies').where('tenant_id', '=', tenantId).execute(),
      );
    },

    /** How many second factors of each kind a user has. */
    async factorsOf(userId: string): Promise<{ readonly otp: boolean; readonly passkeys: number }> {
      const { rows } = await sql<{ otp: boolean; passkeys: bigint }>`select
        exists (select from totp_secrets where user_id = ${userId} and confirmed_at is not null) as otp,
        (select count(*) from passkeys where user_id = ${userId}) as passkeys`.execute(platform);
      return { otp: rows[0]?.otp ?? false, passkeys: Number(rows[0]?.passkeys ?? 0n) };
    },
  };
}
