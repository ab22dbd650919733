import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Principal } from '../principal.ts';
import type { RoleFacts } from '../roles/role-facts.ts';
import {
  type MfaRequirement,
  type MfaSettings,
  type MissingFactor,
  missingFactor,
  needsSecondFactor,
} from './mfa-rule.ts';
import type { UserRow } from './people.store.ts';
import type { SignInPolicyStore } from './sign-in-policy.store.ts';

export type SignInPolicy = ReturnType<typeof createSignInPolicy>;
type Person = Pick<UserRow, 'id' | 'tenant_id' | 'role'>;

/** Whose settings they are, and what they come to. */
export interface ShownPolicy extends MfaSettings {
  readonly of: 'tenant' | 'platform';
}

/** What is asked of whoever signs in, beyond a password (ACC-2). */
export function createSignInPolicy(deps: {
  readonly store: SignInPolicyStore;
  readonly roleOf: (tenantId: string, name: string) => RoleFacts;
  /** Sessions, as far as this instance knows them, are to be looked at again. */
  readonly changed: () => void;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
}) {
  const { store } = deps;
  const ownerOf = (principal: Principal): string | null =>
    principal.role === 'owner' && !principal.actsInNamedTenant ? null : principal.tenantId;

  const needs = async (user: Person): Promise<boolean> =>
    needsSecondFactor(await store.settings(user.tenant_id), deps.roleOf(user.tenant_id, user.role));

  const shown = async (principal: Principal): Promise<ShownPolicy> => ({
    of: ownerOf(principal) === null ? 'platform' : 'tenant',
    ...(await store.settings(principal.tenantId)),
  });

  return {
    shown,

    /**
     * Sets what an administrator's tenant asks for, or, for an owner who names no tenant, the platform. Counts at once for
     * those who are signed in.
     * @param given `requireMfa` null: what the platform's default says. @throws AppError `invalid`.
     */
    async change(
      principal: Principal,
      given: {
        readonly requireMfa: MfaRequirement | null;
        readonly ownersRequireMfa: boolean | undefined;
      },
    ): Promise<ShownPolicy> {
      const owner = ownerOf(principal);
      if (owner !== null && given.ownersRequireMfa !== undefined) {
        throw wrong('owners_require_mfa', 'is the platform’s: an owner sets it, naming no tenant');
      }
      if (owner === null && given.requireMfa === null) {
        throw wrong('require_mfa', 'cannot be null for the platform: there is no default above its own');
      }
      if (given.requireMfa === null) await store.remove(principal.tenantId);
      else {
        const before = await store.settings(principal.tenantId);
        await store.put({
          id: deps.newId(),
          tenant_id: owner,
          require_mfa: given.requireMfa,
          owners_require_mfa: owner === null && (given.ownersRequireMfa ?? before.ofOwners),
          updated_at: deps.clock.now(),
        });
      }
      deps.changed();
      return shown(principal);
    },

    needs,
    factorsOf: store.factorsOf,

    /** What a sign-in lacks. @param shown whether it showed a second factor. */
    async missing(user: Person, shown: boolean): Promise<MissingFactor | null> {
      if (shown || !(await needs(user))) return null;
      const { otp, passkeys } = await store.factorsOf(user.id);
      return missingFactor({ needed: true, shown, enrolled: otp || passkeys > 0 });
    },

    /**
     * Tokens are made with one-time codes only, so whoever needs a factor needs those.
     * @throws AppError `second_factor_required` that says what to do.
     */
    async refuseTokensWithoutCodes(user: Person): Promise<void> {
      if ((await store.factorsOf(user.id)).otp || !(await needs(user))) return;
      throw new AppError(
        'second_factor_required',
        'A second factor is required of this account. Sign in with POST /api/v1/auth/sign-in, set up one-time codes ' +
          'with POST /api/v1/auth/totp, and send "otp" or "recovery_code" with the password here.',
        { extra: { second_factor: ['otp', 'recovery_code'], missing: 'enrol' } },
      );
    },
  };
}

function wrong(path: string, message: string): AppError {
  return new AppError('invalid', `${path} ${message}.`, { errors: [{ path, message }] });
}
