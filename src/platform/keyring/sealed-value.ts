import type { Random } from '../random.ts';
import { decrypt, encrypt } from './gcm.ts';

/**
 * A secret under a data key: `v2.<data key id>.<nonce>.<body>`. The data key, the tenant and the purpose are bound to it,
 * so a value that was moved to another row or tenant does not open.
 */

export interface SealedUnder {
  readonly dataKeyId: string;
  /** Null: the platform. */
  readonly tenantId: string | null;
  readonly purpose: string;
}

const version = 'v2';

export function sealValue(
  dataKey: Buffer,
  secret: string,
  under: SealedUnder,
  random: Pick<Random, 'bytes'>,
): string {
  const text = encrypt(dataKey, Buffer.from(secret, 'utf8'), boundTo(under), random);
  return `${version}.${under.dataKeyId}.${text}`;
}

/** @throws Error when it was changed, moved, or sealed by another data key. */
export function openValue(dataKey: Buffer, sealed: string, under: SealedUnder): string {
  const start = `${version}.${under.dataKeyId}.`;
  if (!sealed.startsWith(start)) throw new Error('sealed by another data key');
  return decrypt(dataKey, sealed.slice(start.length), boundTo(under)).toString('utf8');
}

/** @returns the id of the data key that sealed it; null when it is not of this form. */
export function dataKeyIdOf(sealed: string): string | null {
  const [form, id, ...rest] = sealed.split('.');
  return form === version && id && rest.length === 2 ? id : null;
}

/** Parts of a list, each in quotes, so that no two different lists make the same text. */
function boundTo({ dataKeyId, tenantId, purpose }: SealedUnder): string {
  return JSON.stringify(['gatehouse sealed value', version, dataKeyId, tenantId, purpose]);
}
