import type { Attributes, AttributeValue } from '../../attributes/attributes.ts';

/** Where a claim stands: its name, or the names on the way to it (`["realm_access", "roles"]`). */
export type ClaimPath = string | readonly string[];

/** What an issuer's claims mean here. It never names a tenant but where the platform says what its values mean. */
export interface ClaimMapping {
  readonly subject: ClaimPath;
  readonly role: {
    readonly claim: ClaimPath | null;
    /** The first whose value the token has decides. */
    readonly values: readonly { readonly value: string; readonly role: string }[];
    /** Of whoever has none of them; null: they are nobody here. */
    readonly default: string | null;
  };
  readonly groups: {
    readonly claim: ClaimPath | null;
    readonly values: readonly { readonly value: string; readonly group: string }[];
    /** What becomes of values that are not named: nothing, or a group of the same name. */
    readonly others: 'drop' | 'keep';
  };
  /** What conditions of roles may speak of. */
  readonly attributes: readonly { readonly name: string; readonly claim: ClaimPath }[];
  /** Claims that a token needs besides. */
  readonly required: readonly { readonly claim: ClaimPath; readonly value: string }[];
  /** Of the platform's issuers: which value of a claim is which tenant's, by id. Null: of a tenant's own. */
  readonly tenant: {
    readonly claim: ClaimPath | null;
    readonly values: readonly { readonly value: string; readonly tenant: string }[];
    readonly default: string | null;
  } | null;
}

/** Whom a token's claims tell of. */
export interface MappedCaller {
  readonly subject: string;
  readonly role: string;
  readonly groups: readonly string[];
  readonly attributes: Attributes;
  /** Of the platform's issuers; null: not told. */
  readonly tenantId: string | null;
}

type Claims = Readonly<Record<string, unknown>>;

const maxSubjectLength = 255;
/** As keys and users may have them. */
const maxGroups = 100;
const maxGroupLength = 200;
/** As attributes of users may be. */
const attributeBounds = { text: 500, list: 50, listed: 200 } as const;
/** Of one claim; further ones are not looked at. */
const maxValues = 1_000;

/** @returns null when the token tells no subject, lacks what is required, or comes to no role. */
export function mapClaims(mapping: ClaimMapping, claims: Claims): MappedCaller | null {
  const subject = claimAt(claims, mapping.subject);
  if (typeof subject !== 'string' || subject.length === 0 || subject.length > maxSubjectLength) return null;
  if (!mapping.required.every(({ claim, value }) => valuesAt(claims, claim).includes(value))) return null;
  const role = roleIn(mapping, claims);
  if (role === null) return null;
  return {
    subject,
    role,
    groups: groupsIn(mapping, claims),
    attributes: attributesIn(mapping, claims),
    tenantId: tenantIn(mapping, claims),
  };
}

function roleIn({ role }: ClaimMapping, claims: Claims): string | null {
  const told = new Set(role.claim === null ? [] : valuesAt(claims, role.claim));
  return role.values.find(({ value }) => told.has(value))?.role ?? role.default;
}

function groupsIn({ groups }: ClaimMapping, claims: Claims): string[] {
  if (groups.claim === null) return [];
  const known = new Map<string, string[]>();
  for (const { value, group } of groups.values) known.set(value, [...(known.get(value) ?? []), group]);
  const found = valuesAt(claims, groups.claim).flatMap((value) => {
    const mapped = known.get(value);
    if (mapped !== undefined) return mapped;
    return groups.others === 'keep' && isGroupName(value) ? [value] : [];
  });
  return [...new Set(found)].sort().slice(0, maxGroups);
}

/** What cannot be an attribute is left out: a comparison with what is missing is false. */
function attributesIn({ attributes }: ClaimMapping, claims: Claims): Attributes {
  const told = attributes.flatMap(({ name, claim }) => {
    const value = claimAt(claims, claim);
    return isAttribute(value) ? [[name, value] as const] : [];
  });
  return Object.fromEntries(told);
}

function isAttribute(value: unknown): value is AttributeValue {
  if (typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value === 'string') return isText(value, attributeBounds.text);
  const { list, listed } = attributeBounds;
  const fits = (one: unknown) => typeof one === 'string' && isText(one, listed);
  return Array.isArray(value) && value.length <= list && value.every(fits);
}

/** What the database can hold: it knows no NUL. */
function isText(value: string, longest: number): boolean {
  return value.length <= longest && value.isWellFormed() && !value.includes('\0');
}

function tenantIn({ tenant }: ClaimMapping, claims: Claims): string | null {
  if (tenant === null) return null;
  const told = new Set(tenant.claim === null ? [] : valuesAt(claims, tenant.claim));
  return tenant.values.find(({ value }) => told.has(value))?.tenant ?? tenant.default;
}

function isGroupName(value: string): boolean {
  return value.length > 0 && value.length <= maxGroupLength && value.trim() === value && value.isWellFormed();
}

function claimAt(claims: Claims, path: ClaimPath): unknown {
  let at: unknown = claims;
  for (const name of typeof path === 'string' ? [path] : path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

/** The texts that a claim holds. Scopes are one text with spaces between them (RFC 8693, 4.2). */
function valuesAt(claims: Claims, path: ClaimPath): string[] {
  const claim = claimAt(claims, path);
  if (typeof claim === 'string') return path === 'scope' || path === 'scp' ? claim.split(' ') : [claim];
  if (!Array.isArray(claim)) return [];
  return claim.slice(0, maxValues).filter((value) => typeof value === 'string');
}
