import { permissionsOfRole } from '../permissions.ts';
import type { RoleFacts } from '../roles/role-facts.ts';

/** Of whom a second factor is required: of nobody, of those who may do more than analysts, of everybody. */
export const mfaRequirements = ['none', 'privileged', 'all'] as const;
export type MfaRequirement = (typeof mfaRequirements)[number];

/** What was set for a tenant, and by the platform. */
export interface MfaSettings {
  /** Null: the tenant says nothing, and the platform's default holds. */
  readonly tenants: MfaRequirement | null;
  readonly platforms: MfaRequirement;
  /** Of the platform's owners, whatever tenant they are of, beside what that tenant says. */
  readonly ofOwners: boolean;
}

const ofAnalysts = new Set(permissionsOfRole.analyst);

/**
 * Whether a role holds anything that an analyst does not: operators, admins, owners, and those of a tenant's own roles that
 * change or administer something.
 */
export function isPrivileged(role: Pick<RoleFacts, 'permissions'>): boolean {
  return role.permissions.some((permission) => !ofAnalysts.has(permission));
}

/** Whether those of a role need a second factor. */
export function needsSecondFactor(settings: MfaSettings, role: RoleFacts): boolean {
  if (role.name === 'owner' && settings.ofOwners) return true;
  const requirement = settings.tenants ?? settings.platforms;
  return requirement === 'all' || (requirement === 'privileged' && isPrivileged(role));
}

/**
 * What a sign-in without a second factor may still do: `enrol` one, or `show` the one there is. Whoever has one and did not
 * show it cannot set up another in its place.
 */
export type MissingFactor = 'enrol' | 'show';

export function missingFactor(of: {
  readonly needed: boolean;
  readonly shown: boolean;
  readonly enrolled: boolean;
}): MissingFactor | null {
  if (!of.needed || of.shown) return null;
  return of.enrolled ? 'show' : 'enrol';
}
