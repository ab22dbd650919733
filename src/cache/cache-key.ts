import { createHash } from 'node:crypto';

/**
 * @param parts whatever decides which answer it is and who may have it, in a fixed order. Each part's length goes into the
 *   hash, so that no two lists of parts make the same key.
 * @returns SHA-256 as 64 hexadecimal digits.
 */
export function keyOf(parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  return hash.digest('hex');
}
