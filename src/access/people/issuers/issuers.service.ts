import type { Clock } from '../../../platform/clock.ts';
import { AppError, notFound } from '../../../platform/errors.ts';
import type { NewId } from '../../../platform/ids.ts';
import { type GivenSecrets, isReference } from '../../../platform/secret-references/index.ts';
import type { Principal, TenantFacts } from '../../principal.ts';
import { refuseGrantBeyond } from '../../roles/delegation.ts';
import type { RoleFacts } from '../../roles/role-facts.ts';
import { unknownRole } from '../../roles/roles.store.ts';
import type { AddressCheck } from './issuer-fetch.ts';
import type { IssuerRow, IssuersStore } from './issuers.store.ts';

export interface IssuerSettings {
  readonly kind: IssuerRow['kind'];
  readonly issuer?: string | undefined;
  readonly client_id: string;
  /** Or a reference to it; undefined: the one that is stored stays. */
  readonly client_secret?: string | null | undefined;
  readonly domains: readonly string[];
  readonly trust_email: boolean;
  readonly trust_mfa: boolean;
  readonly mfa_acr_values: readonly string[];
  readonly create_users: boolean;
  readonly default_role: string;
  readonly default_tenant?: string | null | undefined;
  readonly groups_claim?: string | null | undefined;
  readonly group_map: Readonly<Record<string, string>>;
  readonly enabled: boolean;
}

export type Issuers = ReturnType<typeof createIssuers>;

const fixedIssuers: Partial<Record<IssuerRow['kind'], string>> = {
  google: 'https://accounts.google.com',
  github: 'https://github.com',
};
/** Microsoft's issuers for everybody: their addresses are nobody's word (any organisation may claim any). */
const forEverybody = /^\/(?:common|organizations|consumers)(?:\/|$)/;

/** Which issuers vouch for people: settings of a tenant, or of the platform for all. */
export function createIssuers(deps: {
  readonly store: IssuersStore;
  readonly secrets: GivenSecrets;
  readonly check: Pick<AddressCheck, 'objectionTo'>;
  readonly tenant: (idOrSlug: string) => TenantFacts | undefined;
  readonly role: (tenantId: string, name: string) => RoleFacts | undefined;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
}) {
  const { store } = deps;
  const ownerOf = (principal: Principal): string | null =>
    principal.role === 'owner' && !principal.actsInNamedTenant ? null : principal.tenantId;
  const wrong = (path: string, message: string) =>
    new AppError('invalid', `${path} ${message}.`, { errors: [{ path, message }] });

  const addressOf = ({ kind, issuer: given }: IssuerSettings): string => {
    const issuer = given ?? fixedIssuers[kind];
    if (issuer === undefined || !URL.canParse(issuer))
      throw wrong('issuer', 'must be the address of the issuer');
    const url = new URL(issuer);
    const objection = deps.check.objectionTo(url);
    if (objection !== null) throw wrong('issuer', objection);
    if (kind === 'microsoft' && forEverybody.test(url.pathname)) {
      throw wrong('issuer', 'must name one directory: https://login.microsoftonline.com/<directory id>/v2.0');
    }
    return issuer;
  };

  const newUsersOf = (principal: Principal, owner: string | null, given: IssuerSettings): string | null => {
    const tenant = given.default_tenant ? deps.tenant(given.default_tenant) : undefined;
    if (given.default_tenant && (owner !== null || !tenant)) {
      throw wrong('default_tenant', 'must be a tenant, and is for issuers of the platform only');
    }
    const tenantId = owner ?? tenant?.id ?? null;
    if (given.create_users && tenantId === null) {
      throw wrong('default_tenant', 'must say where new users of an issuer of the platform go');
    }
    // Whoever sets up an issuer can be whomever it vouches for, so they must hold what any of those may hold.
    const highest = deps.role(tenantId ?? principal.tenantId, owner === null ? 'owner' : 'admin');
    if (highest) refuseGrantBeyond(principal, { role: highest, groups: [], scopes: [] });
    const role = deps.role(tenantId ?? principal.tenantId, given.default_role);
    if (!role) throw unknownRole(given.default_role);
    if (role.name === 'owner') throw wrong('default_role', 'cannot be owner');
    refuseGrantBeyond(principal, { role, groups: Object.values(given.group_map), scopes: [] });
    return tenant?.id ?? null;
  };

  return {
    list: (principal: Principal) => store.list(ownerOf(principal)),

    /** @throws AppError `invalid` that names the field; `forbidden` beyond the caller's own rights. */
    async put(principal: Principal, name: string, given: IssuerSettings): Promise<IssuerRow> {
      const owner = ownerOf(principal);
      if (given.client_secret)
        deps.secrets.refuseForeign(given.client_secret, 'client_secret', {
          isOwner: principal.role === 'owner',
          tenantId: principal.tenantId,
        });
      const issuer = addressOf(given);
      const defaultTenantId = newUsersOf(principal, owner, given);
      const before = await store.named(owner, name);
      // Who somebody is there says nothing at another issuer, so that is another one, without the secret of this one.
      const same = before?.issuer === issuer && before.kind === given.kind;
      if (before && !same) await store.remove(owner, name);
      const now = deps.clock.now();
      const id = before && same ? before.id : deps.newId();
      const kept = before && same ? before : null;
      const secret = given.client_secret;
      return store.put(owner, {
        id,
        tenant_id: owner,
        name,
        kind: given.kind,
        issuer,
        client_id: given.client_id,
        sealed_client_secret:
          secret === undefined
            ? (kept?.sealed_client_secret ?? null)
            : secret === null
              ? null
              : await deps.secrets.seal(secret, clientSecretPurpose(id), owner),
        client_secret_reference:
          secret === undefined
            ? (kept?.client_secret_reference ?? null)
            : secret !== null && isReference(secret)
              ? secret
              : null,
        domains: given.domains.map((domain) => domain.toLowerCase()),
        trust_email: given.trust_email,
        trust_mfa: given.trust_mfa,
        mfa_acr_values: [...given.mfa_acr_values],
        create_users: given.create_users,
        default_role: given.default_role,
        default_tenant_id: defaultTenantId,
        groups_claim: given.groups_claim ?? null,
        group_map: { ...given.group_map },
        enabled: given.enabled,
        created_at: before?.created_at ?? now,
        updated_at: now,
      });
    },

    /** Its users stay, and need another way to sign in. @throws AppError `not_found`. */
    async remove(principal: Principal, name: string): Promise<void> {
      if (!(await store.remove(ownerOf(principal), name))) throw notFound('identity provider');
    },

    /** A tenant's issuer of that name, or the platform's. @throws AppError `not_found`, whatever is not there. */
    async enabledOne(name: string, tenantName: string | undefined): Promise<IssuerRow> {
      const tenant = tenantName === undefined ? undefined : deps.tenant(tenantName);
      const own = tenant && (await store.named(tenant.id, name));
      const found = own ?? (await store.named(null, name));
      if (!found?.enabled) throw notFound('identity provider');
      return found;
    },

    async enabledById(id: string): Promise<IssuerRow> {
      const found = await store.byId(id);
      if (!found?.enabled) throw notFound('identity provider');
      return found;
    },

    secretOf: async (row: IssuerRow): Promise<string | null> =>
      row.sealed_client_secret === null
        ? null
        : deps.secrets.open(row.sealed_client_secret, clientSecretPurpose(row.id), row.tenant_id),
  };
}

/** What a client secret is sealed for. */
export const clientSecretPurpose = (id: string): string => `identity-provider:${id}`;
