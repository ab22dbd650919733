import { hash, verify } from '@node-rs/argon2';
import type { Clock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import { type AccessStore, signInKeyMaker, type UserRow } from './access.store.ts';
import type { NewKey } from './api-key.ts';
import type { TenantFacts } from './principal.ts';

/** OWASP's first recommendation for argon2id: 19 MiB, 2 passes, 1 lane. (Password Storage Cheat Sheet, 2025.) */
const argon2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
/** From the fifth wrong password on, none is looked at for a while. */
const attemptsBeforeLock = 5;
const lockMs = 5 * 60_000;
const tokenLifetimeSeconds = 3_600;
/** Hashing is meant to be slow and to take memory, so a flood of sign-ins must not run all at once. */
const maxConcurrent = 4;

export interface SignInDependencies {
  readonly store: AccessStore;
  readonly clock: Clock;
  readonly tenant: (id: string) => TenantFacts | undefined;
  readonly createKey: (tenant: TenantFacts, key: NewKey, createdBy: string) => Promise<{ key: string }>;
  readonly countFailedAuthentication: () => void;
}

export function createSignIn(deps: SignInDependencies) {
  const { store, clock } = deps;
  let running = 0;
  // Checked when there is no such user, so that an unknown address takes as long as a wrong password.
  let nobody: Promise<string> | undefined;
  const hashOfNobody = () => {
    nobody ??= hash('no user has this password', argon2);
    return nobody;
  };

  const refuse = (): AppError => {
    deps.countFailedAuthentication();
    return new AppError(
      'unauthenticated',
      'The address or the password is wrong, or this account is locked for now.',
    );
  };

  const check = async (user: UserRow | undefined, password: string): Promise<UserRow> => {
    const locked = user?.locked_until && user.locked_until > clock.now();
    const right = await verify(user?.password_hash ?? (await hashOfNobody()), password);
    if (!user?.password_hash || locked) throw refuse();
    if (!right) {
      await store.countFailedSignIn(user.id, attemptsBeforeLock, new Date(clock.now().getTime() + lockMs));
      throw refuse();
    }
    if (user.failed_sign_ins > 0) await store.clearFailedSignIns(user.id);
    return user;
  };

  return {
    /**
     * @returns a bearer token with the user's role and groups that lives for an hour.
     * @throws AppError `unauthenticated`, the same for an unknown address, a wrong password and a locked account;
     *   `overloaded` when too many sign-ins run at once.
     */
    async byPassword(email: string, password: string): Promise<{ token: string; expiresInSeconds: number }> {
      if (running >= maxConcurrent) {
        throw new AppError('overloaded', 'Too many sign-ins at once. Try again shortly.', {
          retryAfterSeconds: 1,
        });
      }
      running++;
      try {
        const user = await check(await store.userByEmail(email), password);
        const tenant = deps.tenant(user.tenant_id);
        if (!tenant) throw refuse();
        const made = await deps.createKey(
          tenant,
          {
            name: `sign-in of ${user.email}`,
            role: user.role,
            groups: user.groups,
            scopes: [],
            userId: user.id,
            expiresAt: new Date(clock.now().getTime() + tokenLifetimeSeconds * 1000),
          },
          signInKeyMaker,
        );
        return { token: made.key, expiresInSeconds: tokenLifetimeSeconds };
      } finally {
        running--;
      }
    },
    hashPassword: (password: string): Promise<string> => hash(password, argon2),
  };
}
