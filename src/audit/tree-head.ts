import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { Hash } from './merkle-tree.ts';

/** What a signature vouches for: so many entries of one tenant, in this order, with this root. */
export interface TreeHead {
  readonly tenantId: string;
  readonly size: number;
  readonly root: Hash;
  readonly at: Date;
}

export interface SignedTreeHead extends TreeHead {
  readonly keyId: string;
  /** Ed25519 (RFC 8032), 64 bytes. */
  readonly signature: Buffer;
}

/** The bytes that are signed: a fixed text with one member a line, so that no two heads share them. */
export function headBytes({ tenantId, size, root, at }: TreeHead): Buffer {
  return Buffer.from(
    `gatehouse audit tree head v1\n${tenantId}\n${size}\n${root.toString('hex')}\n${at.toISOString()}\n`,
  );
}

export function signHead(
  head: TreeHead,
  key: { readonly id: string; readonly privateKey: KeyObject },
): SignedTreeHead {
  return { ...head, keyId: key.id, signature: sign(null, headBytes(head), key.privateKey) };
}

export function isSignedBy(head: SignedTreeHead, publicKey: KeyObject): boolean {
  return verify(null, headBytes(head), publicKey, head.signature);
}

/** @param spki a public key as SubjectPublicKeyInfo, DER in base64. @throws when it is not an Ed25519 key. */
export function publicKeyOf(spki: string): KeyObject {
  const key = createPublicKey({ key: Buffer.from(spki, 'base64'), format: 'der', type: 'spki' });
  if (key.asymmetricKeyType !== 'ed25519') throw new TypeError('not an Ed25519 key');
  return key;
}

/** Names a key for good: the first 16 bytes, in hex, of the SHA-256 of its SubjectPublicKeyInfo. */
export function keyIdOf(publicKey: KeyObject): string {
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 32);
}
