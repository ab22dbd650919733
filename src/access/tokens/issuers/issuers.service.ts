import type { Clock } from '../../../platform/clock.ts';
import { AppError, notFound } from '../../../platform/errors.ts';
import type { NewId } from '../../../platform/ids.ts';
import { refuseRestricted } from '../../keys/restrictions.ts';
import type { AddressCheck } from '../../people/issuers/issuer-fetch.ts';
import { allDocumentsToken, type Principal, type TenantFacts } from '../../principal.ts';
import { refuseGrantBeyond } from '../../roles/delegation.ts';
import type { RoleFacts } from '../../roles/role-facts.ts';
import { unknownRole } from '../../roles/roles.store.ts';
import type { ClaimMapping } from './claim-mapping.ts';
import { issuedUserId } from './issued-user.ts';
import type { IssuerBody } from './issuers.schema.ts';
import type { TokenIssuerRow, TokenIssuersStore } from './issuers.store.ts';
import type { KeySetState } from './key-sets.ts';
import type { TrustedIssuers } from './trusted-issuers.ts';

export interface TokenIssuersDependencies {
  readonly store: TokenIssuersStore;
  readonly trusted: TrustedIssuers;
  readonly check: Pick<AddressCheck, 'objectionTo'>;
  /** `iss` of our own tokens, which nobody else may be trusted for. */
  readonly ownIssuer: string;
  readonly tenant: (idOrSlug: string) => TenantFacts | undefined;
  readonly role: (tenantId: string, name: string) => RoleFacts | undefined;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
}

/** Settings, and what this instance knows of the keys; null while it is switched off. */
export interface ShownIssuer {
  readonly row: TokenIssuerRow;
  readonly keys: KeySetState | null;
}

export type TokenIssuers = ReturnType<typeof createTokenIssuers>;

/** Of one tenant, and of the platform. */
const mostIssuers = 20;

/** Issuers elsewhere whose tokens are accepted: settings of a tenant, or of the platform. */
export function createTokenIssuers(deps: TokenIssuersDependencies) {
  const { store, trusted } = deps;
  const shown = (row: TokenIssuerRow): ShownIssuer => ({
    row,
    keys: trusted.withId(row.id)?.keys.state() ?? null,
  });
  const oneOf = async (owner: string | null, name: string): Promise<TokenIssuerRow> => {
    const row = await store.named(owner, name);
    if (!row) throw notFound('issuer');
    return row;
  };

  const refuseWrongAddresses = ({ issuer, jwks_uri: keysAt }: IssuerBody): void => {
    if (issuer === deps.ownIssuer) throw wrong('issuer', 'must not be this installation');
    if (keysAt === null) refuseAddress('issuer', issuer);
    else refuseAddress('jwks_uri', keysAt);
    if (keysAt !== null) return;
    const { search, hash } = new URL(issuer);
    if (search !== '' || hash !== '') throw wrong('issuer', 'must have no query and no fragment');
  };
  const refuseAddress = (path: string, address: string): void => {
    if (!URL.canParse(address))
      throw wrong(path, 'must be an address, or name where the keys are in jwks_uri');
    const objection = deps.check.objectionTo(new URL(address));
    if (objection !== null) throw wrong(path, objection);
  };

  const mappingOf = (owner: string | null, { mapping }: IssuerBody): ClaimMapping => {
    const { tenant } = mapping;
    if ((owner === null) !== (tenant !== null)) {
      throw wrong(
        'mapping.tenant',
        "must say whose users are which tenant's, for issuers of the platform only",
      );
    }
    const idOf = (name: string): string => {
      const id = deps.tenant(name)?.id;
      if (id === undefined) throw wrong('mapping.tenant', `names no tenant with "${name}"`);
      return id;
    };
    return {
      ...mapping,
      tenant: tenant && {
        claim: tenant.claim,
        values: tenant.values.map(({ value, tenant: name }) => ({ value, tenant: idOf(name) })),
        default: tenant.default === null ? null : idOf(tenant.default),
      },
    };
  };

  const refuseMoreThanHeld = (principal: Principal, owner: string | null, { mapping }: IssuerBody): void => {
    refuseRestricted(principal);
    const rolesIn = owner ?? principal.tenantId;
    // Whoever sets up an issuer can be whomever it vouches for, so they must hold what any of those may hold.
    const highest = deps.role(rolesIn, owner === null ? 'owner' : 'admin');
    if (highest) refuseGrantBeyond(principal, { role: highest, groups: [], scopes: [] });
    const groups = mapping.groups.values.map(({ group }) => group);
    const names = mapping.role.values.map(({ role }) => role);
    for (const name of new Set([
      ...names,
      ...(mapping.role.default === null ? [] : [mapping.role.default]),
    ])) {
      const role = deps.role(rolesIn, name);
      if (!role) throw unknownRole(name);
      if (role.name === 'owner') throw wrong('mapping.role', 'cannot come to owner');
      refuseGrantBeyond(principal, { role, groups, scopes: [] });
    }
    if (mapping.groups.others === 'keep' && !principal.readerTokens.includes(allDocumentsToken)) {
      throw new AppError('forbidden', 'Only an administrator can take groups over as the issuer names them.');
    }
  };

  /** Two settings that accept the same token would leave open what its caller may do. */
  const refuseOverlap = (row: TokenIssuerRow, others: readonly TokenIssuerRow[]): void => {
    if (others.length >= mostIssuers) {
      throw new AppError('conflict', `There are ${mostIssuers} issuers already. Remove one first.`);
    }
    const platforms = (trusted.by(row.issuer) ?? []).flatMap(({ settings }) =>
      settings.tenant_id === null && row.tenant_id !== null ? [settings] : [],
    );
    for (const other of [...others, ...platforms]) {
      const shared =
        other.issuer === row.issuer && row.audiences.find((one) => other.audiences.includes(one));
      if (!shared) continue;
      const whose = other.tenant_id === row.tenant_id ? `"${other.name}"` : 'The platform';
      throw new AppError('conflict', `${whose} accepts tokens of this issuer for "${shared}" already.`);
    }
  };

  return {
    list: async (principal: Principal): Promise<ShownIssuer[]> =>
      (await store.list(ownerOf(principal))).map(shown),

    /** @throws AppError `not_found`. */
    one: async (principal: Principal, name: string): Promise<ShownIssuer> =>
      shown(await oneOf(ownerOf(principal), name)),

    /**
     * Holds here at once and on every instance within a second.
     * @throws AppError `invalid` that names the field; `forbidden` beyond the caller's own rights; `conflict` where other
     *   settings accept the same tokens.
     */
    async put(principal: Principal, name: string, given: IssuerBody): Promise<ShownIssuer> {
      const owner = ownerOf(principal);
      refuseMoreThanHeld(principal, owner, given);
      refuseWrongAddresses(given);
      const now = deps.clock.now();
      const row: TokenIssuerRow = {
        ...given,
        id: deps.newId(),
        tenant_id: owner,
        name,
        audiences: [...new Set(given.audiences)],
        algorithms: [...new Set(given.algorithms)],
        mapping: mappingOf(owner, given),
        created_by: `user:${principal.userId ?? principal.keyId}`,
        created_at: now,
        updated_at: now,
      };
      const stored = await store.put(owner, row, (others) => refuseOverlap(row, others));
      await trusted.reload();
      return shown(stored);
    },

    /** Its tokens are refused from the next request on. @throws AppError `not_found`. */
    async remove(principal: Principal, name: string): Promise<void> {
      if (!(await store.remove(ownerOf(principal), name))) throw notFound('issuer');
      await trusted.reload();
    },

    /** The id here of somebody there. @throws AppError `not_found`, `invalid`. */
    async userId(
      principal: Principal,
      name: string,
      asked: { readonly subject: string; readonly tenant?: string | undefined },
    ): Promise<string> {
      const owner = ownerOf(principal);
      const { issuer } = await oneOf(owner, name);
      const tenantId = owner ?? (asked.tenant === undefined ? undefined : deps.tenant(asked.tenant)?.id);
      if (tenantId === undefined) throw wrong('tenant', 'must name a tenant');
      return issuedUserId(tenantId, issuer, asked.subject);
    },
  };
}

/** Null: the platform. */
function ownerOf(principal: Principal): string | null {
  return principal.role === 'owner' && !principal.actsInNamedTenant ? null : principal.tenantId;
}

function wrong(path: string, message: string): AppError {
  return new AppError('invalid', `${path} ${message}.`, { errors: [{ path, message }] });
}
