import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint, type JWK } from 'jose';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import { skewSeconds } from './claim-times.ts';
import type { SigningKeyRow, SigningKeysStore } from './signing-keys.store.ts';

/** Whoever keeps a copy of the key set asks for it again after this. */
export const keySetMaxAgeSeconds = 300;
/** A new key is published for twice as long as copies are kept before it signs. */
const leadMs = 2 * keySetMaxAgeSeconds * 1000;
export const accessTokenSeconds = 15 * 60;
/** From when a key signs no more until nothing that it signed is accepted anyway. */
const afterlifeMs = (accessTokenSeconds + skewSeconds) * 1000;
/** A key is succeeded by itself at this age. */
const rotateAfterMs = 90 * 24 * 3_600_000;
/** How often a token with a key that is not known here may have the keys read again. */
const rereadMs = 1_000;

const newKeyPair = promisify(generateKeyPair);

/** Seals what is the platform's own, for one purpose each. */
export interface Sealing {
  seal(secret: string, purpose: string, tenantId: null): string | Promise<string>;
  open(sealed: string, purpose: string, tenantId: null): string | Promise<string>;
}

interface SigningKey {
  readonly row: SigningKeyRow;
  readonly publicKey: KeyObject;
  /** Opened when it first signs: most keys in memory only verify. */
  privateKey: KeyObject | null;
}

export type SigningKeys = ReturnType<typeof createSigningKeys>;

/**
 * The keys that sign access tokens, Ed25519 (RFC 8037), in memory. All instances have the same ones from the database; each
 * signs with the newest whose time has come, and accepts all that are there.
 */
export function createSigningKeys(deps: {
  readonly store: SigningKeysStore;
  readonly secrets: Sealing;
  readonly clock: Clock;
  readonly log: Log;
}) {
  const { store, clock, log } = deps;
  let keys: readonly SigningKey[] = [];
  let keySet = '{"keys":[]}';
  let readAtMs = Number.NEGATIVE_INFINITY;

  const take = (rows: readonly SigningKeyRow[]): void => {
    const before = new Map(keys.map((key) => [key.row.id, key]));
    keys = rows.map((row) => ({
      row,
      publicKey:
        before.get(row.id)?.publicKey ??
        createPublicKey({ key: row.public_key as JWK & Record<string, unknown>, format: 'jwk' }),
      privateKey: before.get(row.id)?.privateKey ?? null,
    }));
    keySet = JSON.stringify({ keys: rows.map((row) => row.public_key) });
  };

  // One after another, so that what was read first is never put in place of what was read later.
  let reading: Promise<void> = Promise.resolve();
  const reload = (): Promise<void> => {
    const read = async () => {
      readAtMs = clock.monotonicMs();
      take(await store.keys(clock.now()));
    };
    reading = reading.then(read, read);
    return reading;
  };

  const fresh = async (signsFrom: Date): Promise<SigningKeyRow> => {
    const { publicKey, privateKey } = await newKeyPair('ed25519');
    const { crv, x } = publicKey.export({ format: 'jwk' });
    const jwk = { kty: 'OKP', crv: String(crv), x: String(x) };
    const id = await calculateJwkThumbprint(jwk);
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    return {
      id,
      public_key: { ...jwk, kid: id, use: 'sig', alg: 'EdDSA' },
      sealed_private_key: await deps.secrets.seal(pem, signingKeyPurpose(id), null),
      created_at: clock.now(),
      signs_from: signsFrom,
      verifies_until: null,
    };
  };

  /** @param atOnce the keys before it are believed no more: for one that others may have got hold of. */
  const rotate = async (atOnce: boolean): Promise<{ id: string; signsFrom: Date }> => {
    const now = clock.now();
    const made = await store.succeed(now, async (there) => {
      const signsFrom = atOnce || there.length === 0 ? now : new Date(now.getTime() + leadMs);
      const othersUntil = atOnce ? now : new Date(signsFrom.getTime() + afterlifeMs);
      return { key: await fresh(signsFrom), othersUntil };
    });
    await reload();
    if (made === null) throw new Error('a key that was to be made was not');
    return { id: made.id, signsFrom: made.signs_from };
  };

  /** Makes the first key, and the next when the newest is old. */
  const keepFresh = async (): Promise<void> => {
    const now = clock.now();
    await store.succeed(now, async (there) => {
      const newest = there.at(-1);
      if (newest && now.getTime() - newest.created_at.getTime() < rotateAfterMs) return null;
      const signsFrom = newest ? new Date(now.getTime() + leadMs) : now;
      return { key: await fresh(signsFrom), othersUntil: new Date(signsFrom.getTime() + afterlifeMs) };
    });
    await reload();
  };

  const isAlive = ({ row }: SigningKey, nowMs: number) =>
    row.verifies_until === null || row.verifies_until.getTime() > nowMs;
  const find = (kid: string): KeyObject | undefined => {
    const nowMs = clock.now().getTime();
    return keys.find((key) => key.row.id === kid && isAlive(key, nowMs))?.publicKey;
  };

  return {
    reload: () => reload().catch((error) => log.warn({ err: error }, 'token keys could not be read again')),
    rotate,
    keepFresh,
    /** The public halves as a JWK set (RFC 7517), as JSON. */
    keySet: (): string => keySet,

    /** @throws AppError `dependency_down` when there is none, or it cannot be opened. */
    async signing(): Promise<{ readonly id: string; readonly privateKey: KeyObject }> {
      const nowMs = clock.now().getTime();
      // Where no key's time has come, another instance's clock is a little ahead of ours.
      const key =
        keys.findLast((one) => one.row.signs_from.getTime() <= nowMs && isAlive(one, nowMs)) ?? keys.at(-1);
      if (!key)
        throw new AppError('dependency_down', 'There is no key to sign tokens with. Try again shortly.');
      const { id, sealed_private_key: sealed } = key.row;
      key.privateKey ??= createPrivateKey(await deps.secrets.open(sealed, signingKeyPurpose(id), null));
      return { id, privateKey: key.privateKey };
    },

    /** The key of that id; looked for in the database at most once a second when it is not known here. */
    async verifying(kid: string): Promise<KeyObject | undefined> {
      const known = find(kid);
      if (known || clock.monotonicMs() - readAtMs < rereadMs) return known;
      await reload().catch((error) => log.warn({ err: error }, 'token keys could not be read again'));
      return find(kid);
    },

    /** Whether what the key of that id signed is still believed. */
    believes: (kid: string): boolean => find(kid) !== undefined,
  };
}

export const signingKeyPurpose = (id: string) => `token-signing-key:${id}`;
