import { AppError } from '../../platform/errors.ts';
import type { TenantFacts } from '../principal.ts';
import type { NoteSignIn } from './note-sign-in.ts';
import type { PasswordHasher } from './password-hash.ts';
import type { PeopleStore, UserRow } from './people.store.ts';
import type { CodeGiven, SecondFactors } from './second-factors.ts';
import type { SignInPolicy } from './sign-in-policy.ts';
import type { SignInTries } from './sign-in-tries.ts';

export interface PasswordSignInDependencies {
  readonly store: Pick<PeopleStore, 'userByEmail'>;
  readonly hasher: Pick<PasswordHasher, 'verify'>;
  readonly tries: Pick<SignInTries, 'ofPassword'>;
  readonly secondFactors: Pick<SecondFactors, 'check'>;
  readonly policy: Pick<SignInPolicy, 'needs' | 'factorsOf' | 'refuseTokensWithoutCodes'>;
  readonly tenant: (id: string) => TenantFacts | undefined;
  readonly note: NoteSignIn;
  readonly countFailedAuthentication: () => void;
}

export interface Credentials extends CodeGiven {
  readonly email: string;
  readonly password: string;
}

export interface PasswordShown {
  readonly user: UserRow;
  /** Whether a second factor has still to be shown. */
  readonly factorNeeded: boolean;
  /** Whether a right code came with the password. */
  readonly codeShown: boolean;
}

export type PasswordSignIn = ReturnType<typeof createPasswordSignIn>;

/** Who somebody is, by address and password (ACC-2). */
export function createPasswordSignIn(deps: PasswordSignInDependencies) {
  const refuse = async (user: UserRow | undefined): Promise<never> => {
    deps.countFailedAuthentication();
    // Written for one who does not exist as well, so that both take the same work.
    await deps.note(user?.tenant_id ?? null, 'sign_in.refused', user?.id ?? null, { by: 'password' });
    throw new AppError('unauthenticated', 'The address or the password is wrong, or this account is closed.');
  };

  const byPassword = async ({ email, password }: Credentials, network: string): Promise<UserRow> => {
    const user = await deps.store.userByEmail(email);
    const wasRight = await deps.tries.ofPassword(email, user?.id ?? null, network);
    const right = await deps.hasher.verify(user?.password_hash ?? null, password);
    if (!user || !right || user.disabled_at !== null) return refuse(user);
    if (deps.tenant(user.tenant_id) === undefined) return refuse(user);
    await wasRight();
    return user;
  };

  return {
    /**
     * @param network the caller's, as limits know it.
     * @returns the user, and whether a second factor has still to be shown because none was. Codes are asked for whenever
     *   they are on, and a passkey in their place where a second factor is required and there are none.
     * @throws AppError `unauthenticated`, the same for an address that nobody has, a wrong password, a closed account and
     *   one without a password; `rate_limited` after too many tries, whether or not there is such an account;
     *   `overloaded`.
     */
    async check(given: Credentials, network: string): Promise<PasswordShown> {
      const user = await byPassword(given, network);
      const { otp, passkeys } = await deps.policy.factorsOf(user.id);
      if (!otp) {
        // A code of one who has none says nothing.
        const factorNeeded = passkeys > 0 && (await deps.policy.needs(user));
        return { user, factorNeeded, codeShown: false };
      }
      if (given.otp === undefined && given.recoveryCode === undefined)
        return { user, factorNeeded: true, codeShown: false };
      await deps.secondFactors.check(user, given).catch(async (error) => {
        await deps.note(user.tenant_id, 'sign_in.refused', user.id, { by: 'code' });
        throw error;
      });
      return { user, factorNeeded: false, codeShown: true };
    },

    /**
     * The same for those who cannot be asked a second time.
     * @throws AppError also when a code is missing; `second_factor_required` for whoever needs codes and has none.
     */
    async checkAll(given: Credentials, network: string): Promise<UserRow> {
      const { user, factorNeeded } = await this.check(given, network);
      await deps.policy.refuseTokensWithoutCodes(user);
      if (!factorNeeded) return user;
      throw new AppError(
        'unauthenticated',
        'This account needs a one-time code, too. Send "otp" or "recovery_code" with the password.',
        { extra: { second_factor: ['otp', 'recovery_code'] } },
      );
    },

    /** Whether one who is signed in knows their password. @throws AppError `unauthenticated`, `rate_limited`. */
    async proveAgain(user: UserRow, password: string | undefined, network: string): Promise<void> {
      if (user.password_hash === null) return;
      const wasRight = await deps.tries.ofPassword(user.email, user.id, network);
      if (!(await deps.hasher.verify(user.password_hash, password ?? ''))) {
        throw new AppError('invalid', 'The current password is wrong.', {
          errors: [{ path: 'password', message: 'is not the current password' }],
        });
      }
      await wasRight();
    },
  };
}
