import { hash } from 'node:crypto';

/**
 * @param parts whatever decides which answer it is and who may have it, in a fixed order. Each part's length goes into the
 *   hash, so that no two lists of parts make the same key.
 * @returns SHA-256 as 64 hexadecimal digits.
 */
export function keyOf(parts: readonly string[]): string {
  let text = '';
  for (const part of parts) text += `${part.length}:${part}`;
  return hash('sha256', text, 'hex');
}
