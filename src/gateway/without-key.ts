import type { ProviderKey } from '../routing/index.ts';

/** What is shorter may be part of ordinary words. */
const leastSecretLength = 8;
const removed = '[key removed]';

/**
 * Some providers repeat the key that they refuse. It is neither the caller's nor the log's to know.
 * @param bytes an error of a provider's, in the words of any dialect.
 * @returns the same without the key, or any part of one that has several.
 */
export function withoutKey(bytes: Buffer, key: ProviderKey | null): Buffer {
  if (key === null) return bytes;
  const secrets = [key.value, ...key.value.split(':')].filter(({ length }) => length >= leastSecretLength);
  if (!secrets.some((secret) => bytes.includes(secret))) return bytes;
  const text = secrets.reduce((left, secret) => left.replaceAll(secret, removed), bytes.toString('latin1'));
  return Buffer.from(text, 'latin1');
}
