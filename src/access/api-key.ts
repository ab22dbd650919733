import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Random } from '../platform/random.ts';
import type { Attributes } from './attributes/attributes.ts';

/** What a key is asked to be. */
export interface NewKey {
  readonly name: string;
  readonly role: string;
  readonly groups: readonly string[];
  /** What conditions of roles know of it; absent: nothing. */
  readonly attributes?: Attributes;
  readonly scopes: readonly string[];
  readonly userId: string | null;
  readonly expiresAt: Date | null;
  /** Of a service of the platform's own: limits of requests let it pass (LIM-7). Absent: it is not. */
  readonly internal?: boolean;
  /** Addresses and ranges from which it may be used; none: from anywhere. */
  readonly ipAllowList?: readonly string[];
  /** Routes and `provider/model` that it may call, with `*`; none: all. */
  readonly modelAllowList?: readonly string[];
}

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const idLength = 12;
const secretLength = 32;
const checksumLength = 6;
const pattern = new RegExp(`^gh_[0-9A-Za-z]{${idLength + secretLength + checksumLength}}$`);

/**
 * A new API key: `gh_`, an id of 12, a secret of 32 and a checksum of 6 base-62 characters. The secret carries
 * 32 × log2(62) ≈ 190 bits. The checksum (CRC-32 of what precedes it) lets a scanner tell a real key from a look-alike
 * without asking anyone, and lets the server refuse a mistyped one without a look-up.
 * @param id of a key that gets another secret; absent: a new one.
 */
export function newApiKey(
  random: Pick<Random, 'bytes'>,
  id = letters(random, idLength),
): { id: string; key: string; hash: string } {
  const body = `gh_${id}${letters(random, secretLength)}`;
  const key = body + checksum(body);
  return { id, key, hash: hashKey(key) };
}

/** SHA-256 of the whole key as presented, in hex: what a key is looked up by. One call, because every request makes it. */
export function hashKey(key: string): string {
  return hash('sha256', key);
}

/** Whether `text` has the form of a key of ours and its checksum is right. */
export function isWellFormedKey(text: string): boolean {
  return pattern.test(text) && checksum(text.slice(0, -checksumLength)) === text.slice(-checksumLength);
}

function checksum(body: string): string {
  let rest = crc32(body);
  let text = '';
  for (let i = 0; i < checksumLength; i++) {
    text = alphabet.charAt(rest % 62) + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

/** Uniform letters: bytes of 248 and above are drawn again, because 256 is not a multiple of 62. */
function letters(random: Pick<Random, 'bytes'>, length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of random.bytes(length)) {
      if (byte < 248 && text.length < length) text += alphabet.charAt(byte % 62);
    }
  }
  return text;
}
