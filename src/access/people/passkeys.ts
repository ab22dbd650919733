import {
  type AuthenticationResponseJSON,
  type AuthenticatorTransport,
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import type { Clock } from '../../platform/clock.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import { isUuid, type NewId } from '../../platform/ids.ts';
import type { Random } from '../../platform/random.ts';
import type { NoteSignIn } from './note-sign-in.ts';
import { hashToken, newToken } from './one-time-token.ts';
import type { PasskeyRow, PasskeysStore } from './passkeys.store.ts';
import type { PeopleStore, UserRow } from './people.store.ts';
import type { SecondFactorsStore } from './second-factors.store.ts';

export interface PasskeysDependencies {
  readonly store: PasskeysStore;
  readonly users: Pick<PeopleStore, 'userById'>;
  readonly underWay: Pick<SecondFactorsStore, 'addUnderWay' | 'takeUnderWay'>;
  readonly note: NoteSignIn;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly random: Pick<Random, 'bytes'>;
}

export type Passkeys = ReturnType<typeof createPasskeys>;

const waitsMs = 5 * 60_000;
const challengeBytes = 32;
const mostPerUser = 20;
/** EdDSA, ES256 and RS256 (IANA COSE). */
const algorithms = [-8, -7, -257];
const registering = 'passkey-registration';
const signingIn = 'passkey-sign-in';

/**
 * Passkeys (WebAuthn): instead of a password, then with the device's own check of its user, or after one in place of a
 * one-time code.
 */
export function createPasskeys(deps: PasskeysDependencies) {
  const { store, underWay, clock } = deps;
  const challenge = () => Uint8Array.from(deps.random.bytes(challengeBytes));
  const refused = () =>
    new AppError(
      'unauthenticated',
      'The passkey is not known here, or its answer is not right. Begin again.',
    );

  const wait = async (kind: string, state: Record<string, unknown>): Promise<string> => {
    const { token, hash } = newToken(deps.random);
    const expiresAt = new Date(clock.now().getTime() + waitsMs);
    await underWay.addUnderWay({ id: hash, kind, state, expires_at: expiresAt });
    return token;
  };
  const taken = async (kind: string, ceremony: string) => {
    const state = await underWay.takeUnderWay(hashToken(ceremony), kind, clock.now());
    if (typeof state?.challenge !== 'string') throw refused();
    return { challenge: state.challenge, userId: typeof state.user_id === 'string' ? state.user_id : null };
  };

  /** @param alone whether nothing else shows who it is: then the device must have checked its user. */
  const isRight = async (
    row: PasskeyRow,
    response: AuthenticationResponseJSON,
    expected: string,
    origin: string,
    alone: boolean,
  ): Promise<boolean> => {
    const verified = await verifyAuthenticationResponse({
      response,
      expectedChallenge: expected,
      expectedOrigin: origin,
      expectedRPID: new URL(origin).hostname,
      requireUserVerification: alone,
      credential: {
        id: row.credential_id,
        publicKey: Uint8Array.from(row.public_key),
        counter: Number(row.counter),
        transports: row.transports as AuthenticatorTransport[],
      },
    }).catch(() => null);
    if (!verified?.verified) return false;
    return store.used(row.id, BigInt(verified.authenticationInfo.newCounter), clock.now());
  };

  return {
    list: (user: UserRow): Promise<PasskeyRow[]> => store.ofUser(user.id),

    /** @param origin where the browser's page is from. @throws AppError `conflict` for who has too many. */
    async beginRegistration(user: UserRow, origin: string) {
      const known = await store.ofUser(user.id);
      if (known.length >= mostPerUser) {
        throw new AppError('conflict', `There are ${mostPerUser} passkeys already. Remove one first.`);
      }
      const options = await generateRegistrationOptions({
        rpName: 'Gatehouse',
        rpID: new URL(origin).hostname,
        userName: user.email,
        userID: Uint8Array.from(Buffer.from(user.id)),
        challenge: challenge(),
        attestationType: 'none',
        excludeCredentials: known.map((row) => ({ id: row.credential_id })),
        authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
        supportedAlgorithmIDs: algorithms,
      });
      const ceremony = await wait(registering, { challenge: options.challenge, user_id: user.id });
      return { ceremony, options };
    },

    /** @throws AppError `unauthenticated` when the answer is not right; `conflict` for a key that is known. */
    async register(
      user: UserRow,
      origin: string,
      given: {
        readonly ceremony: string;
        readonly name: string;
        readonly response: RegistrationResponseJSON;
      },
      keep: string | null,
    ): Promise<PasskeyRow> {
      const state = await taken(registering, given.ceremony);
      if (state.userId !== user.id) throw refused();
      const verified = await verifyRegistrationResponse({
        response: given.response,
        expectedChallenge: state.challenge,
        expectedOrigin: origin,
        expectedRPID: new URL(origin).hostname,
        requireUserVerification: false,
        supportedAlgorithmIDs: algorithms,
      }).catch(() => null);
      if (!verified?.verified) throw refused();
      const { credential } = verified.registrationInfo;
      const row: PasskeyRow = {
        id: deps.newId(),
        tenant_id: user.tenant_id,
        user_id: user.id,
        credential_id: credential.id,
        public_key: Buffer.from(credential.publicKey),
        counter: BigInt(credential.counter),
        transports: (credential.transports ?? []).slice(0, 10),
        name: given.name,
        created_at: clock.now(),
        last_used_at: null,
      };
      if (!(await store.insert({ tenantId: user.tenant_id, readerTokens: [] }, row, keep))) {
        throw new AppError('conflict', 'This passkey is registered already.');
      }
      return row;
    },

    /**
     * @param needed whether the user needs a second factor.
     * @throws AppError `not_found`; `second_factor_required` for the last.
     */
    async remove(user: UserRow, id: string, needed: boolean, keep: string | null): Promise<void> {
      const scope = { tenantId: user.tenant_id, readerTokens: [] };
      if (!isUuid(id) || !(await store.remove(scope, user.id, id, { needed, keep }, clock.now())))
        throw notFound('passkey');
    },

    /** @param user who has shown the password already; null: the passkey alone is to tell who it is. */
    async beginSignIn(user: UserRow | null, origin: string) {
      const known = user === null ? [] : await store.ofUser(user.id);
      const options = await generateAuthenticationOptions({
        rpID: new URL(origin).hostname,
        challenge: challenge(),
        userVerification: user === null ? 'required' : 'preferred',
        allowCredentials: known.map((row) => ({ id: row.credential_id })),
      });
      const ceremony = await wait(signingIn, {
        challenge: options.challenge,
        ...(user !== null && { user_id: user.id }),
      });
      return { ceremony, options };
    },

    /**
     * @param after who has shown the password; null: nobody.
     * @throws AppError `unauthenticated`, the same whatever is wrong: challenge, origin, signature, a counter that went
     *   back (the passkey was copied), no check of the user where one is needed, another user's passkey.
     */
    async finishSignIn(
      after: UserRow | null,
      origin: string,
      given: { readonly ceremony: string; readonly response: AuthenticationResponseJSON },
    ): Promise<UserRow> {
      const state = await taken(signingIn, given.ceremony);
      if (state.userId !== (after?.id ?? null)) throw refused();
      const row = await store.byCredential(given.response.id);
      if (!row || (after !== null && row.user_id !== after.id)) throw refused();
      const { userHandle } = given.response.response;
      const ofAnother =
        userHandle !== undefined && Buffer.from(userHandle, 'base64url').toString() !== row.user_id;
      const user = await deps.users.userById(row.user_id);
      const right =
        !ofAnother && (await isRight(row, given.response, state.challenge, origin, after === null));
      if (!user || !right || user.disabled_at !== null) {
        await deps.note(row.tenant_id, 'sign_in.refused', row.user_id, { by: 'passkey' });
        throw refused();
      }
      return user;
    },
  };
}
