import * as argon2id from '@node-rs/argon2';
import { AppError } from '../../platform/errors.ts';

/** OWASP's first recommendation for argon2id: 19 MiB, 2 passes, 1 lane. (Password Storage Cheat Sheet, 2025.) */
const parameters = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
/** Hashing is meant to be slow and to take memory, so a flood of sign-ins must not run all at once. */
const maxConcurrent = 4;

export interface PasswordHasher {
  /** Argon2id, with parameters and salt in the text. @throws AppError `overloaded` when too many run. */
  hash(password: string): Promise<string>;
  /**
   * @param stored null when there is no such user or they have no password: the work is the same, the answer is no.
   * @throws AppError `overloaded` when too many run.
   */
  verify(stored: string | null, password: string): Promise<boolean>;
}

/** @param engine what does the work, for tests that count it. */
export function createPasswordHasher(
  engine: Pick<typeof argon2id, 'hash' | 'verify'> = argon2id,
): PasswordHasher {
  let running = 0;
  let nobody: Promise<string> | undefined;

  const bounded = async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= maxConcurrent) {
      throw new AppError('overloaded', 'Too many sign-ins at once. Try again shortly.', {
        retryAfterSeconds: 1,
      });
    }
    running++;
    try {
      return await work();
    } finally {
      running--;
    }
  };

  return {
    hash: (password) => bounded(() => engine.hash(password, parameters)),
    verify: (stored, password) =>
      bounded(async () => {
        nobody ??= engine.hash('no user has this password', parameters);
        const right = await engine.verify(stored ?? (await nobody), password);
        return right && stored !== null;
      }),
  };
}
