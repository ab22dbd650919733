import type { Clock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import type { NewKey } from './api-key.ts';
import type { UserRow } from './people/people.store.ts';
import type { TenantFacts } from './principal.ts';

const tokenLifetimeSeconds = 3_600;

export interface SignInTokensDependencies {
  readonly clock: Pick<Clock, 'now'>;
  readonly tenant: (id: string) => TenantFacts | undefined;
  readonly createSignInKey: (tenant: TenantFacts, key: NewKey) => Promise<{ key: string }>;
}

/**
 * For programs: a bearer token that stands for a user who has just shown who they are.
 * @returns a function that gives a token with the user's role and groups, good for an hour.
 */
export function createSignInTokens({ clock, tenant: tenantOf, createSignInKey }: SignInTokensDependencies) {
  return async (user: UserRow): Promise<{ token: string; expiresInSeconds: number }> => {
    const tenant = tenantOf(user.tenant_id);
    if (!tenant) throw new AppError('unauthenticated', 'This account is closed.');
    const made = await createSignInKey(tenant, {
      name: `sign-in of ${user.email}`,
      role: user.role,
      groups: user.groups,
      scopes: [],
      userId: user.id,
      expiresAt: new Date(clock.now().getTime() + tokenLifetimeSeconds * 1000),
    });
    return { token: made.key, expiresInSeconds: tokenLifetimeSeconds };
  };
}
