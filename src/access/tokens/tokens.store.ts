import { type Selectable, sql, type Transaction } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import type { Revocation, RevocationKind } from './revocations.ts';

type FamilyTable = {
  id: string;
  tenant_id: string;
  user_id: string;
  created_at: Date;
  expires_at: Date;
  ended_at: Date | null;
  end_reason: 'revoked' | 'reused' | null;
};
type RefreshTokenTable = {
  token_hash: Buffer;
  tenant_id: string;
  family_id: string;
  created_at: Date;
  used_at: Date | null;
};
type RevocationTable = {
  tenant_id: string;
  kind: RevocationKind;
  subject: string;
  before: bigint;
  expires_at: Date;
};
type UserTable = {
  id: string;
  tenant_id: string;
  role: string;
  groups: string[];
  disabled_at: Date | null;
  token_epoch: bigint;
};
type Tables = {
  token_families: FamilyTable;
  refresh_tokens: RefreshTokenTable;
  token_revocations: RevocationTable;
  users: UserTable;
};
type Transacting = Transaction<Tables>;

export type FamilyRow = Selectable<FamilyTable>;
/** A user as tokens tell of them. */
export type TokenUser = Selectable<UserTable>;

/** What became of a refresh token that was presented. */
export type Refreshed =
  | { readonly outcome: 'refused' }
  /** It had been used before; its family has ended for it, now or then. */
  | { readonly outcome: 'reused'; readonly family: FamilyRow }
  | { readonly outcome: 'renewed'; readonly family: FamilyRow; readonly user: TokenUser };

/** Rows removed in one statement. */
const sweepBatch = 1_000;
/** Tokens of one tenant refused one by one; beyond it, all that were made so far are refused at once. */
const maxSingleRevocations = 10_000;

export type TokensStore = ReturnType<typeof createTokensStore>;

/** SQL of refresh tokens and revocations. Whoever presents a token has no tenant yet, so the token's own row tells it. */
export function createTokensStore(database: Database) {
  const platform = database.platform.withTables<Tables>();

  const endFamily = (tx: Transacting, id: string, at: Date, reason: 'revoked' | 'reused') =>
    tx
      .updateTable('token_families')
      .set({ ended_at: at, end_reason: reason })
      .where('id', '=', id)
      .where('ended_at', 'is', null)
      .execute();

  const addRevocation = async (tx: Transacting, revoked: Revocation): Promise<void> => {
    await sql`insert into token_revocations as known (tenant_id, kind, subject, before, expires_at)
      values (${revoked.tenantId}, ${revoked.kind}, ${revoked.subject}, ${revoked.before}, ${new Date(revoked.expiresAtMs)})
      on conflict (tenant_id, kind, subject) do update
      set before = greatest(known.before, excluded.before), expires_at = greatest(known.expires_at, excluded.expires_at)`.execute(
      tx,
    );
  };

  return {
    user: (id: string): Promise<TokenUser | undefined> =>
      platform
        .selectFrom('users')
        .select(['id', 'tenant_id', 'role', 'groups', 'disabled_at', 'token_epoch'])
        .where('id', '=', id)
        .executeTakeFirst(),

    /** A new family with its first token. */
    addFamily: (family: FamilyRow, tokenHash: Buffer): Promise<void> =>
      platform.transaction().execute(async (tx) => {
        await tx.insertInto('token_families').values(family).execute();
        await addToken(tx, family, tokenHash, family.created_at);
      }),

    /**
     * Uses a refresh token up and puts the next in its place. One that was used before ends its family, and with it every
     * access token that came of it: this commits although the caller is refused.
     */
    refresh: (
      presented: Buffer,
      next: Buffer,
      now: Date,
      revocationOf: (family: FamilyRow) => Revocation,
    ): Promise<Refreshed> =>
      platform.transaction().execute(async (tx): Promise<Refreshed> => {
        const found = await familyOf(tx, presented);
        if (!found) return { outcome: 'refused' };
        // Whoever else presents a token of this family waits here, so that of two equal ones exactly one is the second.
        const family = await tx
          .selectFrom('token_families')
          .selectAll()
          .where('id', '=', found.family_id)
          .forUpdate()
          .executeTakeFirst();
        const token = await familyOf(tx, presented);
        if (!family || !token) return { outcome: 'refused' };
        if (token.used_at !== null) {
          await endFamily(tx, family.id, now, 'reused');
          await addRevocation(tx, revocationOf(family));
          return { outcome: 'reused', family };
        }
        if (family.ended_at !== null || family.expires_at <= now) return { outcome: 'refused' };
        const user = await tx
          .selectFrom('users')
          .select(['id', 'tenant_id', 'role', 'groups', 'disabled_at', 'token_epoch'])
          .where('id', '=', family.user_id)
          .executeTakeFirst();
        if (!user || user.disabled_at !== null) return { outcome: 'refused' };
        await tx
          .updateTable('refresh_tokens')
          .set({ used_at: now })
          .where('token_hash', '=', presented)
          .execute();
        await addToken(tx, family, next, now);
        return { outcome: 'renewed', family, user };
      }),

    /** Ends the family of a refresh token. @returns it; undefined when there is no such token. */
    endByToken: (
      presented: Buffer,
      now: Date,
      revocationOf: (family: FamilyRow) => Revocation,
    ): Promise<FamilyRow | undefined> =>
      platform.transaction().execute(async (tx) => {
        const token = await familyOf(tx, presented);
        if (!token) return undefined;
        const family = await tx
          .selectFrom('token_families')
          .selectAll()
          .where('id', '=', token.family_id)
          .forUpdate()
          .executeTakeFirst();
        if (!family) return undefined;
        await endFamily(tx, family.id, now, 'revoked');
        await addRevocation(tx, revocationOf(family));
        return family;
      }),

    revocations: async (): Promise<Revocation[]> => {
      const rows = await platform
        .selectFrom('token_revocations')
        .selectAll()
        .where('expires_at', '>', sql<Date>`now()`)
        .execute();
      return rows.map((row) => ({
        tenantId: row.tenant_id,
        kind: row.kind,
        subject: row.subject,
        before: row.before,
        expiresAtMs: row.expires_at.getTime(),
      }));
    },

    /**
     * Refuses what is named, for one tenant. @returns what is refused: all of the tenant's tokens so far, where so many are
     * refused one by one that remembering them would have no bound.
     */
    revoke: (scope: DatabaseScope, named: Revocation, nowMs: number): Promise<Revocation> =>
      database.inTenant(scope, async (untyped) => {
        const tx = untyped.withTables<Tables>();
        const { single } = await tx
          .selectFrom('token_revocations')
          .select((eb) => eb.fn.countAll<bigint>().as('single'))
          .where('kind', 'in', ['token', 'family', 'user'])
          .where('expires_at', '>', new Date(nowMs))
          .executeTakeFirstOrThrow();
        const revoked: Revocation =
          single < maxSingleRevocations || named.kind === 'tenant'
            ? named
            : { ...named, kind: 'tenant', subject: named.tenantId, before: BigInt(nowMs) };
        await addRevocation(tx, revoked);
        return revoked;
      }),

    /** Ends a user's tokens so far, refresh tokens too. @returns whether there is such a user in the tenant. */
    endTokensOfUser: (scope: DatabaseScope, userId: string, now: Date): Promise<boolean> =>
      database.inTenant(scope, async (untyped) => {
        const tx = untyped.withTables<Tables>();
        const user = await tx
          .updateTable('users')
          .set((eb) => ({ token_epoch: eb('token_epoch', '+', 1n) }))
          .where('id', '=', userId)
          .returning(['tenant_id', 'token_epoch'])
          .executeTakeFirst();
        if (!user) return false;
        await tx
          .updateTable('token_families')
          .set({ ended_at: now, end_reason: 'revoked' })
          .where('user_id', '=', userId)
          .where('ended_at', 'is', null)
          .execute();
        await addRevocation(tx, {
          tenantId: user.tenant_id,
          kind: 'user',
          subject: userId,
          before: user.token_epoch,
          expiresAtMs: now.getTime() + 3_600_000,
        });
        return true;
      }),

    /** Ends all refresh tokens of a tenant. */
    endFamiliesOfTenant: (scope: DatabaseScope, now: Date): Promise<void> =>
      database.inTenant(scope, async (tx) => {
        await tx
          .withTables<Tables>()
          .updateTable('token_families')
          .set({ ended_at: now, end_reason: 'revoked' })
          .where('ended_at', 'is', null)
          .execute();
      }),

    /** Removes a batch of what has expired. */
    async sweep(now: Date): Promise<void> {
      await sql`delete from token_revocations where (tenant_id, kind, subject) in (
        select tenant_id, kind, subject from token_revocations where expires_at < ${now} limit ${sweepBatch})`.execute(
        platform,
      );
      await sql`delete from token_families where id in (
        select id from token_families where expires_at < ${now} limit ${sweepBatch})`.execute(platform);
    },
  };
}

function familyOf(tx: Transacting, tokenHash: Buffer) {
  return tx
    .selectFrom('refresh_tokens')
    .select(['family_id', 'used_at'])
    .where('token_hash', '=', tokenHash)
    .executeTakeFirst();
}

async function addToken(tx: Transacting, family: FamilyRow, tokenHash: Buffer, now: Date): Promise<void> {
  await tx
    .insertInto('refresh_tokens')
    .values({
      token_hash: tokenHash,
      tenant_id: family.tenant_id,
      family_id: family.id,
      created_at: now,
      used_at: null,
    })
    .execute();
}
