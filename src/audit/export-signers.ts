import type { KeyObject } from 'node:crypto';
import { keyIdOf, publicKeyOf } from './tree-head.ts';

/** A key of the log, as the reader knows it from elsewhere: from `GET /api/v1/audit-logs/keys`, kept on another machine. */
export interface KnownKey {
  readonly id: string;
  readonly createdAt: Date;
  /** From then on it signed nothing; null: it signed when this was written down. */
  readonly retiredAt: Date | null;
}

interface ExportKey {
  readonly key: KeyObject;
  /** Null: not told. */
  readonly createdAt: Date | null;
  readonly retiredAt: Date | null;
  /** As the export itself says. */
  readonly isRetired: boolean;
}

/** Who may have signed what stands in an export, and when. */
export class ExportSigners {
  readonly #trusted: readonly string[] | null;
  /** By id; null: nobody wrote them down. */
  readonly #known: ReadonlyMap<string, KnownKey> | null;
  readonly #keys = new Map<string, ExportKey>();
  readonly #seen = new Set<string>();
  readonly #problem: (what: string) => void;

  /** @param problem told of each signature that cannot count, in words. */
  constructor(
    trusted: readonly string[] | undefined,
    known: readonly KnownKey[] | undefined,
    problem: (what: string) => void,
  ) {
    this.#trusted = trusted ?? null;
    this.#known = known ? new Map(known.map((key) => [key.id, key])) : null;
    this.#problem = problem;
  }

  /** A key that the export names. */
  add(spki: string, createdAt: Date | null, retiredAt: Date | null): void {
    try {
      const key = publicKeyOf(spki);
      const id = keyIdOf(key);
      const known = this.#known?.get(id);
      this.#keys.set(id, {
        key,
        createdAt: known?.createdAt ?? createdAt,
        retiredAt: earlier(known?.retiredAt ?? null, retiredAt),
        isRetired: retiredAt !== null,
      });
    } catch {
      this.#problem('a public key cannot be read');
    }
  }

  /** @returns the key of a signature that says this time; null when there is none by that id. */
  of(id: string, at: Date): KeyObject | null {
    const signer = this.#keys.get(id);
    if (!signer) {
      this.#problem(`key ${id} signed, and is not among the export's keys`);
      return null;
    }
    this.#seen.add(id);
    if (this.#trusted !== null && !this.#trusted.includes(id)) this.#problem(`key ${id} is not one to trust`);
    if (this.#known !== null && !this.#known.has(id))
      this.#problem(`key ${id} signed, and is not one that the log is known to have had`);
    const { createdAt, retiredAt } = signer;
    if (retiredAt !== null && at > retiredAt)
      this.#problem(`key ${id} signed at ${at.toISOString()}, after it was retired`);
    // The first one may have signed by the clock of another instance, which was a little behind.
    if (createdAt !== null && at < createdAt && this.#hasOlder(createdAt))
      this.#problem(`key ${id} signed for ${at.toISOString()}, when there was no such key yet`);
    return signer.key;
  }

  #hasOlder(createdAt: Date): boolean {
    return [...this.#keys.values()].some((one) => one.createdAt !== null && one.createdAt < createdAt);
  }

  /** Whether the export itself says that it signs no more. */
  isRetired(id: string): boolean {
    return this.#keys.get(id)?.isRetired ?? false;
  }

  /** The keys that signed. */
  seen(): { id: string; trusted: boolean }[] {
    return [...this.#seen].map((id) => ({ id, trusted: this.#trusted?.includes(id) ?? false }));
  }
}

function earlier(one: Date | null, other: Date | null): Date | null {
  if (one === null || other === null) return one ?? other;
  return one < other ? one : other;
}
