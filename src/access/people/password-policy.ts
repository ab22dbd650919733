import { ZxcvbnFactory } from '@zxcvbn-ts/core';
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common';
import { AppError } from '../../platform/errors.ts';

/** NIST SP 800-63B-4 asks for length and a list of what is guessed first, not for kinds of characters. */
const shortest = 12;
export const longestPassword = 200;
/** Estimating takes longer than linearly, and what comes after this many characters makes no password weaker. */
const looksAt = 64;
/** Of 0 to 4: more than 10^8 guesses. */
const leastScore = 3;

export type PasswordPolicy = ReturnType<typeof createPasswordPolicy>;

/** What makes a password good enough to be set. Reading the lists takes some milliseconds and happens at the first use. */
export function createPasswordPolicy() {
  let estimator: ZxcvbnFactory | undefined;

  /**
   * @param about the user's address and name, which an attacker tries first.
   * @throws AppError `invalid` that says what is wrong.
   */
  return (password: string, about: readonly string[]): void => {
    if (password.length < shortest) throw refused(`must have at least ${shortest} characters`);
    if (password.length > longestPassword) throw refused(`must have at most ${longestPassword} characters`);
    estimator ??= new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs });
    const parts = about.flatMap((text) => [text, ...text.split('@'), ...text.split(/[@.\s]+/)]);
    const words = parts.filter((word) => word.length > 2);
    const { score } = estimator.check(password.slice(0, looksAt), words);
    if (score < leastScore) {
      throw refused('is too easy to guess: it is made of common passwords, names, dates or patterns');
    }
  };
}

function refused(message: string): AppError {
  return new AppError(
    'invalid',
    `The password ${message}. Several words that do not belong together do well.`,
    {
      errors: [{ path: 'password', message }],
    },
  );
}
