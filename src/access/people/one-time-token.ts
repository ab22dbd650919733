import { createHash } from 'node:crypto';
import type { Random } from '../../platform/random.ts';

/** 256 bits: nothing to be guessed, so a fast hash is enough to keep. */
const tokenBytes = 32;
const pattern = /^[A-Za-z0-9_-]{43}$/;

/** A secret for one holder: `token` is given out and forgotten, `hash` is what the database keeps. */
export function newToken(random: Pick<Random, 'bytes'>): { token: string; hash: Buffer } {
  const token = random.bytes(tokenBytes).toString('base64url');
  return { token, hash: hashToken(token) };
}

/** SHA-256 of a token as presented. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** Whether `text` could be a token at all; what could not is not looked for. */
export function isTokenShaped(text: string): boolean {
  return pattern.test(text);
}
