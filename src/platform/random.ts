import { randomBytes } from 'node:crypto';

/** Source of unpredictable bytes (keys, secrets, ids) and of plain chance (weights, jitter). */
export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Buffer;
  /** A number in [0, 1). Not for secrets. */
  fraction(): number;
}

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  fraction: () => Math.random(),
};
