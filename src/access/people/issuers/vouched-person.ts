import type { Clock } from '../../../platform/clock.ts';
import { AppError } from '../../../platform/errors.ts';
import type { NewId } from '../../../platform/ids.ts';
import type { PeopleStore, UserRow } from '../people.store.ts';
import type { IssuerRow, IssuersStore } from './issuers.store.ts';

/** What an issuer says of somebody who signed in there. */
export interface Vouched {
  /** Never changes and is never given to another person there. */
  readonly subject: string;
  readonly email: string | null;
  readonly emailVerified: boolean;
  readonly name: string | null;
  /** Values of the groups claim; null when none is asked for. */
  readonly groups: readonly string[] | null;
  /** Whether it says that they showed two factors, and its settings say that it is believed. */
  readonly secondFactor: boolean;
}

/**
 * Whose user somebody is whom an issuer vouches for. Whoever was here before is known by the issuer's subject. Others are
 * found by their address, if it is verified and of a domain that the issuer was given, because an issuer may speak for its
 * own people only. A tenant's own issuer speaks for users of that tenant only, and never for an owner: its settings are an
 * administrator's, who would become one.
 */
export function createVouchedPeople(deps: {
  readonly store: IssuersStore;
  readonly users: Pick<PeopleStore, 'userByEmail'>;
  readonly userChanged: (userId: string) => void;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
}) {
  const { store, clock } = deps;
  const refused = (why: string) => new AppError('forbidden', `You are not signed in: ${why}.`);

  const maySpeakFor = (issuer: IssuerRow, user: UserRow): boolean =>
    issuer.tenant_id === null || (issuer.tenant_id === user.tenant_id && user.role !== 'owner');

  const identity = (issuer: IssuerRow, subject: string, user: Pick<UserRow, 'id' | 'tenant_id'>) => ({
    id: deps.newId(),
    tenant_id: user.tenant_id,
    user_id: user.id,
    provider_id: issuer.id,
    subject,
    created_at: clock.now(),
  });

  const create = async (issuer: IssuerRow, vouched: Vouched, email: string): Promise<UserRow> => {
    const noAccount = refused('there is no account for you here. Ask an administrator for an invitation');
    const tenantId = issuer.tenant_id ?? issuer.default_tenant_id;
    if (tenantId === null) throw noAccount;
    const now = clock.now();
    const invitation = await store.openInvitation(tenantId, email, now);
    const role = invitation?.role ?? issuer.default_role;
    if ((!invitation && !issuer.create_users) || role === 'owner') throw noAccount;
    const user: UserRow = {
      id: deps.newId(),
      tenant_id: tenantId,
      email,
      name: vouched.name?.slice(0, 200) || null,
      role,
      groups: invitation?.groups ?? [],
      attributes: invitation?.attributes ?? {},
      password_hash: null,
      disabled_at: null,
      email_verified_at: now,
      created_at: now,
      updated_at: now,
    };
    await store.create(user, identity(issuer, vouched.subject, user)).catch((cause: { code?: string }) => {
      // A user of another tenant has the address; who asks here is not told.
      if (cause.code === '23505') throw noAccount;
      throw cause;
    });
    return user;
  };

  const find = async (issuer: IssuerRow, vouched: Vouched): Promise<UserRow> => {
    const known = await store.userOf(issuer.id, vouched.subject);
    if (known) return known;
    const { email } = vouched;
    if (email === null || !(vouched.emailVerified || issuer.trust_email)) {
      throw refused('the issuer does not say that your address is verified');
    }
    if (!issuer.domains.includes(domainOf(email))) {
      throw refused('your address is not of a domain that this issuer may speak for');
    }
    const user = await deps.users.userByEmail(email);
    if (!user || !maySpeakFor(issuer, user)) return create(issuer, vouched, email);
    await store.link(identity(issuer, vouched.subject, user));
    return user;
  };

  return {
    /** @throws AppError `forbidden` that says why somebody is nobody here. */
    async userOf(issuer: IssuerRow, vouched: Vouched): Promise<UserRow> {
      const user = await find(issuer, vouched);
      if (user.disabled_at !== null || !maySpeakFor(issuer, user)) throw refused('this account is closed');
      if (vouched.groups === null) return user;
      const groups = groupsOf(issuer, vouched.groups);
      if (JSON.stringify(groups) === JSON.stringify(user.groups)) return user;
      await store.setGroups(user.id, groups, clock.now());
      deps.userChanged(user.id);
      return { ...user, groups };
    },
  };
}

/** Only what the issuer's settings name becomes a group here. */
function groupsOf(issuer: IssuerRow, claimed: readonly string[]): string[] {
  const known = new Map(Object.entries(issuer.group_map));
  const mapped = claimed.flatMap((value) => known.get(value) ?? []);
  return [...new Set(mapped)].sort();
}

function domainOf(email: string): string {
  return email.slice(email.lastIndexOf('@') + 1).toLowerCase();
}
