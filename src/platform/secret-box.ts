import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';
import { AppError } from './errors.ts';
import { exactBytes } from './exact-bytes.ts';
import type { Random } from './random.ts';

/**
 * What stored secrets are sealed and opened by: the keyring (`keyring/keyring.ts`), under a data key of the tenant. A
 * secret box will do where nothing is kept, as in tests.
 */
export interface Secrets {
  /**
   * @param purpose what the secret belongs to, such as `provider:<id>`: the row that holds it, by name.
   * @param tenantId whose it is; null: the platform's. Purpose and tenant are needed again to open it.
   * @throws AppError `dependency_down` when the key that it needs cannot be had now.
   */
  seal(secret: string, purpose: string, tenantId: string | null): string | Promise<string>;
  /** @throws AppError `dependency_down` when its key cannot be had, or it was changed or moved. */
  open(sealed: string, purpose: string, tenantId: string | null): string | Promise<string>;
}

/**
 * The form of the version before (`v1`). Seals small secrets (provider keys) for storage: AES-256-GCM under a key that HKDF-SHA-256 (RFC 5869) derives from
 * the master key for each purpose, so that a sealed value moved to another tenant or row does not open.
 */
export interface SecretBox {
  /** @param purpose what the secret belongs to, such as `provider:<tenant>:<id>`; needed again to open it. */
  seal(secret: string, purpose: string): string;
  /** @throws AppError `dependency_down` when the value was sealed with another master key or was changed. */
  open(sealed: string, purpose: string): string;
  /** Tells one master key from another without telling anything about it: 16 hex characters. */
  readonly fingerprint: string;
}

const nonceBytes = 12;
const tagBytes = 16;

export function createSecretBox(masterKey: Buffer, random: Pick<Random, 'bytes'>): SecretBox {
  const fingerprint = createHmac('sha256', masterKey)
    .update('gatehouse master key')
    .digest('hex')
    .slice(0, 16);
  const keyFor = (purpose: string) =>
    Buffer.from(hkdfSync('sha256', masterKey, Buffer.alloc(0), `gatehouse seal ${purpose}`, 32));
  return {
    fingerprint,
    seal(secret, purpose) {
      const iv = random.bytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', keyFor(purpose), iv, { authTagLength: tagBytes });
      const body = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return `v1.${fingerprint}.${iv.toString('base64url')}.${body.toString('base64url')}`;
    },
    open(sealed, purpose) {
      const [version, sealedBy, iv, body] = sealed.split('.');
      if (version !== 'v1' || !iv || !body) throw unreadable('it is not in a form this version knows');
      if (sealedBy !== fingerprint) throw unreadable('it was stored under another master key');
      try {
        const bytes = exactBytes(body);
        const nonce = exactBytes(iv);
        // Without these lengths Node takes the first four bytes of a tag for a whole one.
        if (nonce.length !== nonceBytes || bytes.length < tagBytes) throw new Error('malformed');
        const decipher = createDecipheriv('aes-256-gcm', keyFor(purpose), nonce, { authTagLength: tagBytes });
        decipher.setAuthTag(bytes.subarray(-tagBytes));
        return Buffer.concat([decipher.update(bytes.subarray(0, -tagBytes)), decipher.final()]).toString(
          'utf8',
        );
      } catch (cause) {
        throw unreadable('it was changed since it was stored', cause);
      }
    },
  };
}

function unreadable(why: string, cause?: unknown): AppError {
  return new AppError(
    'dependency_down',
    `A stored secret cannot be opened: ${why}. Start with the GATEHOUSE_MASTER_KEY that stored it, or store the secret again.`,
    { cause },
  );
}
