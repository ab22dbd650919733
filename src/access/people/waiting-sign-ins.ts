import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { Random } from '../../platform/random.ts';
import type { NoteSignIn } from './note-sign-in.ts';
import { hashToken, newToken } from './one-time-token.ts';
import type { PeopleStore, UserRow } from './people.store.ts';
import type { SecondFactorsStore } from './second-factors.store.ts';
import type { CodeGiven, SecondFactors } from './second-factors.ts';
import type { SignInPolicy } from './sign-in-policy.ts';

const waitsMs = 5 * 60_000;
const mostAttempts = 5;
const kind = 'second-factor';

export type WaitingSignIns = ReturnType<typeof createWaitingSignIns>;

/** Sign-ins whose password was right and whose second factor is still to come. */
export function createWaitingSignIns(deps: {
  readonly store: Pick<SecondFactorsStore, 'addUnderWay' | 'attemptUnderWay' | 'takeUnderWay'>;
  readonly users: Pick<PeopleStore, 'userById'>;
  readonly secondFactors: Pick<SecondFactors, 'check'>;
  readonly policy: Pick<SignInPolicy, 'factorsOf'>;
  readonly note: NoteSignIn;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Pick<Random, 'bytes'>;
}) {
  const { store, clock } = deps;
  const ended = () =>
    new AppError('unauthenticated', 'This sign-in has ended or had too many wrong codes. Begin again.');

  /** Counts an attempt. @throws AppError `unauthenticated`. */
  const attempt = async (token: string): Promise<UserRow> => {
    const state = await store.attemptUnderWay(hashToken(token), kind, mostAttempts, clock.now());
    const user = typeof state?.user_id === 'string' ? await deps.users.userById(state.user_id) : undefined;
    if (!user || user.disabled_at !== null || user.password_hash !== state?.password_hash) throw ended();
    return user;
  };

  return {
    async begin(user: UserRow) {
      const { token, hash } = newToken(deps.random);
      await store.addUnderWay({
        id: hash,
        kind,
        // A password that was changed meanwhile is not the one that was shown.
        state: { user_id: user.id, password_hash: user.password_hash },
        expires_at: new Date(clock.now().getTime() + waitsMs),
      });
      await deps.note(user.tenant_id, 'sign_in.second_factor_asked', user.id, {});
      return {
        status: 'second_factor_needed' as const,
        sign_in: token,
        second_factors: factorsToShow(await deps.policy.factorsOf(user.id)),
      };
    },

    attempt,

    /** Takes it out, so that it ends in one session. @throws AppError `unauthenticated`. */
    async end(token: string): Promise<void> {
      if (!(await store.takeUnderWay(hashToken(token), kind, clock.now()))) throw ended();
    },

    /** @throws AppError `unauthenticated` for a wrong code, and after five of them; `rate_limited`. */
    async finish(token: string, given: CodeGiven): Promise<UserRow> {
      const user = await attempt(token);
      await deps.secondFactors.check(user, given).catch(async (error) => {
        await deps.note(user.tenant_id, 'sign_in.refused', user.id, { by: 'code' });
        throw error;
      });
      await this.end(token);
      return user;
    },
  };
}

/** What takes the place of what: recovery codes belong to one-time codes. */
export function factorsToShow({ otp, passkeys }: { readonly otp: boolean; readonly passkeys: number }) {
  return [
    ...(otp ? (['otp', 'recovery_code'] as const) : []),
    ...(passkeys > 0 ? (['passkey'] as const) : []),
  ];
}
