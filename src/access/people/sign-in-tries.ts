import { createHash } from 'node:crypto';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { MailKind } from './mail/mail-message.ts';
import type { TriesStore, TryLimit } from './tries.store.ts';

export type SignInTries = ReturnType<typeof createSignInTries>;

const minute = 60_000;
/** Wrong passwords for one account from one network: few, because nobody mistypes that often. */
const ofPair = { free: 5, firstLockMs: minute / 2, longestLockMs: 15 * minute };
/** From one network for whatever accounts: an office mistypes more often than a person. */
const ofNetwork = { free: 30, firstLockMs: minute, longestLockMs: 15 * minute };
/** For one account from all networks that it never signed in from: guessing that is spread over many addresses. */
const ofAccount = { free: 20, firstLockMs: minute, longestLockMs: 15 * minute };
/** Wrong codes and guesses of one who has the password already. */
const ofCode = { free: 5, firstLockMs: minute, longestLockMs: 60 * minute };

/** Links that one network asks for, for whatever addresses. */
const ofMailNetwork = { free: 10, firstLockMs: minute, longestLockMs: 15 * minute };
/** Links that one address is sent: more is no use to its owner, and a nuisance made by somebody else. */
const ofMailAddress = { free: 3, firstLockMs: 15 * minute, longestLockMs: 60 * minute };

/**
 * How often signing in may be tried. An account that exists and one that does not are counted alike. No stranger locks
 * anybody out for good: locks end after 15 minutes at most, and whoever signs in from a network that the account is known
 * from is held up only by tries from there.
 */
export function createSignInTries({ store, clock }: { store: TriesStore; clock: Pick<Clock, 'now'> }) {
  const counted = (...parts: string[]): Buffer => createHash('sha256').update(parts.join('\n')).digest();

  const take = async (limits: readonly TryLimit[]): Promise<void> => {
    const until = await store.take(limits, clock.now());
    if (until === null) return;
    const retryAfterSeconds = Math.max(1, Math.ceil((until.getTime() - clock.now().getTime()) / 1000));
    throw new AppError('rate_limited', `Too many tries. Try again in ${retryAfterSeconds} s.`, {
      retryAfterSeconds,
    });
  };

  return {
    /**
     * Counts a try at a password before it is looked at.
     * @param userId null when nobody has that address.
     * @returns to be called when it was right. @throws AppError `rate_limited`.
     */
    async ofPassword(email: string, userId: string | null, network: string): Promise<() => Promise<void>> {
      const networkHash = counted('of', network);
      const account = email.toLowerCase();
      const known = await store.isKnownNetwork(userId ?? '00000000-0000-0000-0000-000000000000', networkHash);
      const pair = counted('pair', account, network);
      const shared = [
        { ...ofNetwork, countedBy: counted('network', network) },
        ...(known ? [] : [{ ...ofAccount, countedBy: counted('account', account) }]),
      ];
      await take([{ ...ofPair, countedBy: pair }, ...shared]);
      return async () => {
        await store.forget(pair);
        await store.giveBack(shared.map(({ countedBy }) => countedBy));
        if (userId !== null) await store.rememberNetwork(userId, networkHash, clock.now());
      };
    },

    /**
     * Somebody has shown by a link of theirs who they are: whatever was tried in vain before, by them or by others, does not
     * keep them out of here any more.
     */
    async welcome(email: string, userId: string, network: string): Promise<void> {
      const account = email.toLowerCase();
      for (const counter of [counted('pair', account, network), counted('code', userId)]) {
        await store.forget(counter);
      }
      await store.rememberNetwork(userId, counted('of', network), clock.now());
    },

    /**
     * A link is asked for; an address that is somebody's and one that is not are counted alike.
     * @returns false when the address is sent enough of them already. @throws AppError `rate_limited` for the network.
     */
    async ofMail(kind: MailKind, email: string, network: string): Promise<boolean> {
      await take([{ ...ofMailNetwork, countedBy: counted('mail from', network) }]);
      const countedBy = counted('mail to', kind, email.toLowerCase());
      return (await store.take([{ ...ofMailAddress, countedBy }], clock.now())) === null;
    },

    /** The same for codes of a user who has shown the password. @throws AppError `rate_limited`. */
    async ofCode(userId: string): Promise<() => Promise<void>> {
      const countedBy = counted('code', userId);
      await take([{ ...ofCode, countedBy }]);
      return () => store.forget(countedBy);
    },
  };
}
