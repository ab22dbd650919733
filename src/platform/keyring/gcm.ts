import { createCipheriv, createDecipheriv } from 'node:crypto';
import { exactBytes } from '../exact-bytes.ts';
import type { Random } from '../random.ts';

/** AES-256-GCM with a 96-bit random nonce and a 128-bit tag (NIST SP 800-38D), as text: `<nonce>.<body and tag>`. */

const nonceBytes = 12;
const tagBytes = 16;

/** @param key 32 bytes. @param about what the text is bound to; opening needs the same. */
export function encrypt(key: Buffer, plain: Buffer, about: string, random: Pick<Random, 'bytes'>): string {
  const nonce = random.bytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(about, 'utf8'));
  const body = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return `${nonce.toString('base64url')}.${body.toString('base64url')}`;
}

/** @throws Error when the text was changed in any character, or was made by another key or about something else. */
export function decrypt(key: Buffer, text: string, about: string): Buffer {
  const [nonceText = '', bodyText = '', ...more] = text.split('.');
  const nonce = exactBytes(nonceText);
  const body = exactBytes(bodyText);
  if (more.length > 0 || nonce.length !== nonceBytes || body.length < tagBytes) throw new Error('malformed');
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(about, 'utf8'));
  decipher.setAuthTag(body.subarray(-tagBytes));
  return Buffer.concat([decipher.update(body.subarray(0, -tagBytes)), decipher.final()]);
}
