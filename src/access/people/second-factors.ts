import { Secret, TOTP } from 'otpauth';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Random } from '../../platform/random.ts';
import type { Secrets } from '../../platform/secret-box.ts';
import { hashToken } from './one-time-token.ts';
import type { UserRow } from './people.store.ts';
import type { SecondFactorsStore } from './second-factors.store.ts';
import type { SignInTries } from './sign-in-tries.ts';

export interface SecondFactorsDependencies {
  readonly store: SecondFactorsStore;
  readonly tries: Pick<SignInTries, 'ofCode'>;
  readonly secretBox: Secrets;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly random: Pick<Random, 'bytes'>;
}

export type SecondFactors = ReturnType<typeof createSecondFactors>;
export interface CodeGiven {
  readonly otp?: string | undefined;
  readonly recoveryCode?: string | undefined;
}

/** RFC 6238 as every authenticator app has it. */
const periodMs = 30_000;
const form = { issuer: 'Gatehouse', algorithm: 'SHA1', digits: 6, period: periodMs / 1000 };
/** RFC 4226, section 4, R6 recommends 160 bits. */
const secretBytes = 20;
const codeCount = 10;
/** 120 bits each: from 112 on, a fast hash is enough to keep them by (OWASP ASVS 5.0, 6.5.2). */
const codeBytes = 15;
const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** One-time codes from an authenticator app (TOTP), and recovery codes for when it is lost. */
export function createSecondFactors(deps: SecondFactorsDependencies) {
  const { store, clock } = deps;
  const purpose = (user: Pick<UserRow, 'id' | 'tenant_id'>) => totpPurpose(user.tenant_id, user.id);

  /** The 30 s step whose code it is, at most one away from now; null when it is none. */
  const stepOf = (secret: string, code: string): bigint | null => {
    const timestamp = clock.now().getTime();
    const totp = new TOTP({ ...form, secret: Secret.fromBase32(secret) });
    const delta = /^\d{6}$/.test(code) ? totp.validate({ token: code, timestamp, window: 1 }) : null;
    return delta === null ? null : BigInt(Math.floor(timestamp / periodMs) + delta);
  };

  const newCodes = (user: Pick<UserRow, 'id' | 'tenant_id'>) => {
    const codes = Array.from({ length: codeCount }, () => recoveryCodeFrom(deps.random.bytes(codeBytes)));
    const rows = codes.map((code) => ({
      id: deps.newId(),
      tenant_id: user.tenant_id,
      user_id: user.id,
      code_hash: hashToken(plainCode(code)),
    }));
    return { codes, rows };
  };

  const scopeOf = (user: Pick<UserRow, 'tenant_id'>) => ({ tenantId: user.tenant_id, readerTokens: [] });

  const isRight = async (user: UserRow, given: CodeGiven): Promise<boolean> => {
    if (given.recoveryCode !== undefined) {
      return store.useRecoveryCode(user.id, hashToken(plainCode(given.recoveryCode)), clock.now());
    }
    const row = await store.totpOf(user.id);
    if (!row?.confirmed_at || given.otp === undefined) return false;
    const step = stepOf(
      await deps.secretBox.open(row.sealed_secret, purpose(user), user.tenant_id),
      given.otp,
    );
    return step !== null && (await store.useStep(user.id, step));
  };

  /** @throws AppError `unauthenticated`, the same for a wrong, a used and an old code; `rate_limited`. */
  const check = async (user: UserRow, given: CodeGiven): Promise<void> => {
    const wasRight = await deps.tries.ofCode(user.id);
    if (!(await isRight(user, given))) {
      throw new AppError('unauthenticated', 'The code is wrong, has been used, or is no longer valid.');
    }
    await wasRight();
  };

  return {
    check,

    /** Whether signing in with a password asks for a code, too. */
    isOn: async (userId: string): Promise<boolean> =>
      ((await store.totpOf(userId))?.confirmed_at ?? null) !== null,

    codesLeft: store.codesLeft,

    /** A new secret, which counts from its first right code on. @throws AppError `conflict` when there is one. */
    async begin(user: UserRow): Promise<{ secret: string; uri: string }> {
      const secret = new Secret({ buffer: Uint8Array.from(deps.random.bytes(secretBytes)).buffer });
      const sealed = await deps.secretBox.seal(secret.base32, purpose(user), user.tenant_id);
      const put = await store.putTotp(scopeOf(user), {
        user_id: user.id,
        tenant_id: user.tenant_id,
        sealed_secret: sealed,
        last_step: 0n,
        created_at: clock.now(),
        confirmed_at: null,
      });
      if (!put) throw new AppError('conflict', 'One-time codes are on already. Turn them off first.');
      return { secret: secret.base32, uri: new TOTP({ ...form, label: user.email, secret }).toString() };
    },

    /**
     * Whatever else the user is signed in with ends.
     * @param keep the session that goes on. @returns the recovery codes; nothing shows them again.
     * @throws AppError `invalid`, `conflict`, `rate_limited`.
     */
    async confirm(user: UserRow, code: string, keep: string | null): Promise<string[]> {
      const row = await store.totpOf(user.id);
      if (!row || row.confirmed_at) {
        throw new AppError(
          'conflict',
          'No one-time codes are being set up. Begin with POST /api/v1/auth/totp.',
        );
      }
      const wasRight = await deps.tries.ofCode(user.id);
      const step = stepOf(await deps.secretBox.open(row.sealed_secret, purpose(user), user.tenant_id), code);
      if (step === null) {
        throw new AppError('invalid', 'The code is wrong. Check the clock of the device that shows it.', {
          errors: [{ path: 'otp', message: 'not the code of this minute' }],
        });
      }
      await wasRight();
      const { codes, rows } = newCodes(user);
      if (!(await store.confirmTotp(scopeOf(user), user.id, step, clock.now(), rows, keep))) {
        throw new AppError('conflict', 'One-time codes were turned on by another request meanwhile.');
      }
      return codes;
    },

    /**
     * Turns codes off; needs one.
     * @param needed whether the user needs a second factor. @throws AppError `second_factor_required` for the last.
     */
    async remove(user: UserRow, given: CodeGiven, needed: boolean, keep: string | null): Promise<void> {
      await check(user, given);
      await store.removeTotp(scopeOf(user), user.id, needed, keep, clock.now());
    },

    /** Codes and passkeys, for one who lost the device: an administrator's word takes their place. */
    removeFor: (user: UserRow): Promise<void> => store.removeAll(scopeOf(user), user.id, clock.now()),

    /** New recovery codes in place of the old ones. */
    async renewCodes(user: UserRow, given: CodeGiven, keep: string | null): Promise<string[]> {
      await check(user, given);
      const { codes, rows } = newCodes(user);
      await store.replaceCodes(scopeOf(user), user.id, rows, keep, clock.now());
      return codes;
    },
  };
}

/** Letters and digits in fours, five bits each: `ABCD-EFGH-IJKL-MNOP-QRST-UVWX`. */
function recoveryCodeFrom(bytes: Buffer): string {
  let bits = 0n;
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
  let text = '';
  for (let i = 0; i < (codeBytes * 8) / 5; i++) {
    text = base32.charAt(Number(bits & 31n)) + text;
    bits >>= 5n;
  }
  return (text.match(/.{4}/g) ?? []).join('-');
}

/** As people write it down and type it in. */
function plainCode(code: string): string {
  return code.replace(/[\s-]/g, '').toUpperCase();
}

/** What a user's secret is sealed for. */
export const totpPurpose = (tenantId: string, userId: string): string => `totp:${tenantId}:${userId}`;
