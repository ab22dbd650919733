import { createHash, type Hash as Digest, type KeyObject, sign } from 'node:crypto';
import { type Hash, hashLeaf, type Subtree } from './merkle-tree.ts';
import type { SignedTreeHead } from './tree-head.ts';

/**
 * An export of a tenant's audit log, as JSON lines: a header, every entry in its order, each signed tree head right behind
 * the entries that it covers, and a seal. Entries stand in it byte for byte as they were hashed, and nothing else is needed
 * to check it.
 */
export interface ExportHeader {
  readonly tenantId: string;
  readonly exportedAt: Date;
  /** Entries before this one were pruned; their complete subtrees stand for them. */
  readonly firstLeaf: number;
  readonly pruned: readonly (Subtree & { readonly hash: Hash })[];
  readonly keys: readonly ExportedKey[];
}

/** A key that ever signed. */
export interface ExportedKey {
  /** SubjectPublicKeyInfo, DER in base64. */
  readonly publicKey: string;
  readonly createdAt: Date;
  /** From then on it signs nothing. */
  readonly retiredAt: Date | null;
}

export const exportKind = 'gatehouse-audit-export';
export const entryPrefix = (leaf: number): string => `{"leaf":${leaf},"entry":`;
export const entrySuffix = '}';

/** What a seal's signature vouches for: all bytes before it. */
export function sealBytes(seal: {
  readonly lines: number;
  readonly sha256: string;
  readonly at: string;
}): Buffer {
  return Buffer.from(`gatehouse audit export seal v1\n${seal.lines}\n${seal.sha256}\n${seal.at}\n`);
}

/** Writes an export line by line. Each call returns one line, its line feed included. */
export class ExportWriter {
  readonly #digest: Digest = createHash('sha256');
  #lines = 0;

  header({ tenantId, exportedAt, firstLeaf, pruned, keys }: ExportHeader): string {
    return this.#line(
      JSON.stringify({
        kind: exportKind,
        version: 2,
        tenant_id: tenantId,
        exported_at: exportedAt.toISOString(),
        first_leaf: firstLeaf,
        pruned: pruned.map(({ level, index, hash }) => ({ level, index, hash: hash.toString('hex') })),
        keys: keys.map(({ publicKey, createdAt, retiredAt }) => ({
          public_key: publicKey,
          created_at: createdAt.toISOString(),
          retired_at: retiredAt?.toISOString() ?? null,
        })),
      }),
    );
  }

  /** @param entry one line of JSON, exactly as it was hashed. */
  entry(leaf: number, entry: string): string {
    return this.#line(`${entryPrefix(leaf)}${entry}${entrySuffix}`);
  }

  head({ size, root, at, keyId, signature }: SignedTreeHead): string {
    return this.#line(
      JSON.stringify({
        head: {
          size,
          root: root.toString('hex'),
          at: at.toISOString(),
          key_id: keyId,
          signature: signature.toString('hex'),
        },
      }),
    );
  }

  seal(at: Date, key: { readonly id: string; readonly privateKey: KeyObject }): string {
    const seal = { lines: this.#lines, sha256: this.#digest.copy().digest('hex'), at: at.toISOString() };
    const signature = sign(null, sealBytes(seal), key.privateKey).toString('hex');
    return this.#line(JSON.stringify({ seal: { ...seal, key_id: key.id, signature } }));
  }

  #line(json: string): string {
    const line = `${json}\n`;
    this.#digest.update(line);
    this.#lines++;
    return line;
  }
}

/** The leaf of an entry. */
export function leafOf(entry: string): Hash {
  return hashLeaf(Buffer.from(entry));
}
