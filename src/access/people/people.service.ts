import type { Clock } from '../../platform/clock.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import { isUuid, type NewId } from '../../platform/ids.ts';
import type { Page, PageCursor } from '../../platform/page.ts';
import type { Random } from '../../platform/random.ts';
import { refuseAttributesBeyond } from '../attributes/attributes.ts';
import type { Principal } from '../principal.ts';
import { refuseGrantBeyond } from '../roles/delegation.ts';
import type { RoleFacts } from '../roles/role-facts.ts';
import { unknownRole } from '../roles/roles.store.ts';
import type { Mailing } from './mail/mailing.ts';
import { hashToken, isTokenShaped, newToken } from './one-time-token.ts';
import type { PasswordHasher } from './password-hash.ts';
import type { PasswordPolicy } from './password-policy.ts';
import { type InvitationRow, LastOwner, type PeopleStore, type UserRow } from './people.store.ts';

export interface PeopleDependencies {
  readonly store: PeopleStore;
  readonly hasher: Pick<PasswordHasher, 'hash'>;
  readonly policy: PasswordPolicy;
  readonly mailing: Pick<Mailing, 'ofInvitation' | 'wake'>;
  /** What a role means in a tenant; undefined when there is none of that name. */
  readonly role: (tenantId: string, name: string) => RoleFacts | undefined;
  /** A user's sessions, as far as this instance knows them, are to be looked at again. */
  readonly userChanged: (userId: string) => void;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly random: Pick<Random, 'bytes'>;
}

export type People = ReturnType<typeof createPeopleService>;

export interface Granted {
  readonly role: string;
  readonly groups: readonly string[];
  readonly attributes: Readonly<Record<string, unknown>>;
}

const invitationMs = 72 * 3_600_000;
const resetMs = 3_600_000;
const uniqueViolation = '23505';

/** Users of a tenant, how they come in, and how they get a password again. */
export function createPeopleService(deps: PeopleDependencies) {
  const { store, clock } = deps;

  /** Nobody gives, or manages those who have, more than they hold themselves. @throws AppError `forbidden`. */
  const refuseBeyond = (principal: Principal, name: string, groups: readonly string[]): void => {
    const role = deps.role(principal.tenantId, name);
    if (!role) throw unknownRole(name);
    refuseGrantBeyond(principal, { role, groups, scopes: [] });
  };

  const found = async (principal: Principal, id: string): Promise<UserRow> => {
    const row = isUuid(id) ? await store.userIn(principal, id) : undefined;
    if (!row) throw notFound('user');
    return row;
  };
  const orLastOwner = (error: unknown): never => {
    if (!(error instanceof LastOwner)) throw error;
    throw new AppError('conflict', 'This is the last owner. Make another user an owner first.', {
      cause: error,
    });
  };
  const makerOf = ({ userId, keyId }: Principal) => (userId ? `user:${userId}` : `key:${keyId}`);

  const hashNew = async (password: string, email: string, name: string | null): Promise<string> => {
    deps.policy(password, [email, name ?? '', 'gatehouse']);
    return deps.hasher.hash(password);
  };

  return {
    user: found,
    /** A user whose credentials the caller may act upon. @throws AppError `not_found`, `forbidden`. */
    async manageable(principal: Principal, id: string): Promise<UserRow> {
      const user = await found(principal, id);
      // Whoever sets somebody's credentials can be them, and read what their groups read.
      refuseBeyond(principal, user.role, user.groups);
      refuseAttributesBeyond(await store.boundingAttributes(principal), user.attributes);
      return user;
    },
    users: (principal: Principal, page: Page<PageCursor>) => store.users(principal, page.limit, page.after),

    /** The person behind a principal. @throws AppError `conflict` for keys of applications. */
    async self(principal: Principal): Promise<UserRow> {
      const row = principal.userId ? await store.userById(principal.userId) : undefined;
      if (!row) {
        throw new AppError(
          'conflict',
          'This is for people: sign in, instead of sending a key of an application.',
        );
      }
      return row;
    },

    /**
     * Somebody is to become a user. Nobody is told whether the address has a user in another tenant.
     * @param given `mail`: whether the invitation is to be mailed, where mail is sent at all.
     * @returns the secret for the link, which nothing shows again; null when it is mailed, so that whoever accepts it has
     *   shown that the address is theirs. @throws AppError `forbidden`.
     */
    async invite(
      principal: Principal,
      given: Granted & { readonly email: string; readonly mail: boolean },
    ): Promise<{ row: InvitationRow; token: string | null }> {
      refuseBeyond(principal, given.role, given.groups);
      refuseAttributesBeyond(await store.boundingAttributes(principal), given.attributes);
      const now = clock.now();
      const { token, hash } = newToken(deps.random);
      const row: InvitationRow = {
        id: deps.newId(),
        tenant_id: principal.tenantId,
        email: given.email,
        role: given.role,
        groups: [...given.groups],
        attributes: given.attributes,
        token_hash: hash,
        invited_by: makerOf(principal),
        mailed_at: null,
        created_at: now,
        expires_at: new Date(now.getTime() + invitationMs),
      };
      const due = given.mail ? deps.mailing.ofInvitation(row) : null;
      await store.invite(principal, row, due);
      if (due === null) return { row, token };
      deps.mailing.wake();
      return { row, token: null };
    },
    invitations: (principal: Principal, page: Page<PageCursor>) =>
      store.invitations(principal, page.limit, page.after),
    /** @throws AppError `not_found`. */
    async withdrawInvitation(principal: Principal, id: string): Promise<void> {
      if (!isUuid(id) || !(await store.withdrawInvitation(principal, id))) throw notFound('invitation');
    },

    /** @throws AppError `invalid` for a link that is used up, wrong or old, and for a weak password; `conflict`. */
    async acceptInvitation(token: string, password: string, name: string | null): Promise<UserRow> {
      const now = clock.now();
      const hash = hashToken(token);
      const invitation = isTokenShaped(token) ? await store.openInvitation(hash, now) : undefined;
      if (!invitation) throw deadLink('invitation');
      const { tenant_id, email, role, groups, attributes } = invitation;
      const user: UserRow = {
        id: deps.newId(),
        tenant_id,
        email,
        name,
        role,
        groups,
        attributes,
        password_hash: await hashNew(password, email, name),
        disabled_at: null,
        email_verified_at: invitation.mailed_at === null ? null : now,
        created_at: now,
        updated_at: now,
      };
      const accepted = await store.acceptInvitation(hash, user).catch((error: { code?: string }) => {
        if (error.code !== uniqueViolation) throw error;
        throw new AppError('conflict', 'There is a user of this address already. Sign in instead.', {
          cause: error,
        });
      });
      if (!accepted) throw deadLink('invitation');
      return user;
    },

    /** @throws AppError `not_found`; `forbidden` beyond the caller's own rights; `conflict` for the last owner. */
    async changeUser(
      principal: Principal,
      id: string,
      change: Partial<Granted> & { readonly name?: string | null; readonly disabled?: boolean },
    ): Promise<UserRow> {
      await found(principal, id);
      const now = clock.now();
      const held = await store.boundingAttributes(principal);
      // Under another role, or in another group, what is said of somebody may open other documents.
      const opens =
        change.role !== undefined || change.groups !== undefined || change.attributes !== undefined;
      const done = await store
        .changeUser(principal, id, now, (row) => {
          refuseBeyond(principal, row.role, []);
          refuseBeyond(
            principal,
            change.role ?? row.role,
            (change.groups ?? []).filter((group) => !row.groups.includes(group)),
          );
          if (opens) refuseAttributesBeyond(held, change.attributes ?? row.attributes);
          return {
            ...(change.name !== undefined && { name: change.name }),
            role: change.role ?? row.role,
            groups: [...(change.groups ?? row.groups)],
            attributes: JSON.stringify(change.attributes ?? row.attributes),
            disabled_at:
              change.disabled === undefined
                ? row.disabled_at
                : change.disabled
                  ? (row.disabled_at ?? now)
                  : null,
          };
        })
        .catch(orLastOwner);
      if (!done) throw notFound('user');
      deps.userChanged(id);
      return done.after;
    },

    /** @throws AppError `not_found`, `forbidden`, `conflict` for the last owner. */
    async deleteUser(principal: Principal, id: string): Promise<void> {
      await found(principal, id);
      const gone = await store
        .deleteUser(principal, id, (row) => refuseBeyond(principal, row.role, []))
        .catch(orLastOwner);
      if (!gone) throw notFound('user');
      deps.userChanged(id);
    },

    /**
     * A link that sets a new password, for an administrator to hand over.
     * @throws AppError `not_found`, `forbidden`.
     */
    async resetLink(principal: Principal, id: string): Promise<{ token: string; expiresAt: Date }> {
      await this.manageable(principal, id);
      const now = clock.now();
      const { token, hash } = newToken(deps.random);
      const expiresAt = new Date(now.getTime() + resetMs);
      await store.addReset(principal, {
        id: deps.newId(),
        tenant_id: principal.tenantId,
        user_id: id,
        token_hash: hash,
        mailed_at: null,
        created_at: now,
        expires_at: expiresAt,
      });
      return { token, expiresAt };
    },

    /** Uses a reset link; every session of the user ends. @returns whose it was. @throws AppError `invalid`. */
    async resetPassword(token: string, password: string): Promise<UserRow> {
      const now = clock.now();
      const hash = hashToken(token);
      const user = isTokenShaped(token) ? await store.userOfReset(hash, now) : undefined;
      if (!user) throw deadLink('reset');
      const passwordHash = await hashNew(password, user.email, user.name);
      if (!(await store.resetPassword(hash, passwordHash, now))) throw deadLink('reset');
      deps.userChanged(user.id);
      return user;
    },

    /**
     * Sets a password whose owner has shown the one before. Every session ends, but for one. @throws AppError `invalid`.
     */
    async setPassword(user: UserRow, password: string, keep: string | null): Promise<void> {
      const passwordHash = await hashNew(password, user.email, user.name);
      await store.setPassword(user.id, passwordHash, keep, clock.now());
      deps.userChanged(user.id);
    },
  };
}

function deadLink(what: string): AppError {
  return new AppError(
    'invalid',
    `This ${what} link is wrong, was used, or has expired. Ask for another one.`,
    {
      errors: [{ path: 'token', message: 'is not a link that still works' }],
    },
  );
}
