import { createHash, type KeyObject, verify } from 'node:crypto';
import { z } from 'zod';
import { entryPrefix, entrySuffix, exportKind, leafOf, sealBytes } from './export-lines.ts';
import { addLeaf, type Hash, hashOfRange, type Subtree, subtreesOf } from './merkle-tree.ts';
import { isSignedBy, keyIdOf, publicKeyOf, type SignedTreeHead } from './tree-head.ts';

/** A tree head that the reader has from elsewhere: an earlier export, a log of heads, a colleague. */
export interface Witness {
  readonly size: number;
  /** Hex. */
  readonly root: string;
}

export interface Verification {
  readonly isValid: boolean;
  /** What is wrong, the first dozen of it, each with its line; empty exactly when valid. */
  readonly problems: readonly string[];
  readonly tenantId: string | null;
  readonly firstLeaf: number;
  /** Entries there are in all, pruned ones included. */
  readonly size: number;
  readonly root: string | null;
  readonly heads: number;
  /** The keys that signed, and whether the reader had named each as one to trust. */
  readonly keys: readonly { readonly id: string; readonly trusted: boolean }[];
}

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const signature = z.string().regex(/^[0-9a-f]{128}$/);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const time = z.string().refine((text) => {
  const at = new Date(text);
  return !Number.isNaN(at.getTime()) && at.toISOString() === text;
});
const headerLine = z.strictObject({
  kind: z.literal(exportKind),
  version: z.literal(1),
  tenant_id: z.string(),
  exported_at: time,
  first_leaf: count,
  pruned: z.array(z.strictObject({ level: count, index: count, hash: hex })).max(64),
  public_keys: z.array(z.string()).min(1).max(1_000),
});
const headLine = z.strictObject({
  head: z.strictObject({ size: count, root: hex, at: time, key_id: z.string(), signature }),
});
const sealLine = z.strictObject({
  seal: z.strictObject({ lines: count, sha256: hex, at: time, key_id: z.string(), signature }),
});

const maxProblems = 12;

/**
 * Checks an export by itself: that every entry is where it was, that the signed tree heads are those of these entries,
 * that nothing was added, left out or cut off, and that the whole is sealed. Needs no server and no database.
 *
 * Whoever holds the signing key can make a valid export of another history. Against that help `witnesses`: a head seen
 * before must be the head of these entries, too. And `trusted`: without it the export's own keys are taken for what
 * they say, which shows only that one hand made it.
 *
 * @param lines the export's lines without their line feeds, the last one possibly empty.
 * @param trusted ids of keys that are known from elsewhere; null: any.
 */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  trusted: readonly string[] | null = null,
  witnesses: readonly Witness[] = [],
): Promise<Verification> {
  const check = new ExportCheck(trusted, witnesses);
  for await (const line of lines) {
    check.line(line);
    if (check.isHopeless) break;
  }
  return check.end();
}

class ExportCheck {
  readonly #problems: string[] = [];
  readonly #trusted: readonly string[] | null;
  readonly #witnesses: readonly Witness[];
  readonly #digest = createHash('sha256');
  readonly #keys = new Map<string, KeyObject>();
  readonly #signers = new Set<string>();
  readonly #subtrees = new Map<string, Hash>();
  #lines = 0;
  #tenantId: string | null = null;
  #firstLeaf = 0;
  #size = 0;
  #heads = 0;
  #lastHead: SignedTreeHead | null = null;
  #phase: 'header' | 'entries' | 'sealed' = 'header';

  constructor(trusted: readonly string[] | null, witnesses: readonly Witness[]) {
    this.#trusted = trusted;
    this.#witnesses = witnesses;
  }

  /** There is no sense in reading on. */
  get isHopeless(): boolean {
    return this.#problems.length >= maxProblems || (this.#phase === 'header' && this.#lines > 0);
  }

  line(line: string): void {
    if (this.#phase === 'sealed') {
      if (line !== '') this.#problem('there is something after the seal');
      return;
    }
    const number = this.#lines + 1;
    if (this.#phase === 'header') this.#header(line);
    else if (line.startsWith('{"leaf":')) this.#entry(line);
    else if (line.startsWith('{"head":')) this.#head(line);
    else if (line.startsWith('{"seal":')) this.#seal(line);
    else this.#problem(line === '' ? 'the line is empty' : 'this is no line of an export');
    this.#digest.update(`${line}\n`);
    this.#lines = number;
  }

  end(): Verification {
    if (this.#phase === 'header') this.#problem('there is no header');
    else if (this.#phase !== 'sealed') this.#problem('the export breaks off: its seal is missing');
    else this.#whole();
    const problems = this.#problems.slice(0, maxProblems);
    return {
      isValid: problems.length === 0,
      problems,
      tenantId: this.#tenantId,
      firstLeaf: this.#firstLeaf,
      size: this.#size,
      root: this.#phase === 'header' ? null : this.#rootNow().toString('hex'),
      heads: this.#heads,
      keys: [...this.#signers].map((id) => ({ id, trusted: this.#trusted?.includes(id) ?? false })),
    };
  }

  #header(line: string): void {
    const header = parse(headerLine, line);
    if (!header) {
      this.#problem('this is no header of an export');
      return;
    }
    this.#phase = 'entries';
    this.#tenantId = header.tenant_id;
    this.#firstLeaf = header.first_leaf;
    this.#size = header.first_leaf;
    for (const spki of header.public_keys) this.#addKey(spki);
    const expected = subtreesOf({ start: 0, end: header.first_leaf });
    const isWhole =
      expected.length === header.pruned.length &&
      expected.every(({ level, index }, n) => {
        const given = header.pruned[n];
        return given?.level === level && given.index === index;
      });
    if (!isWhole) {
      this.#problem('what stands for the pruned entries is not complete');
      return;
    }
    for (const { level, index, hash } of header.pruned)
      this.#subtrees.set(`${level}/${index}`, Buffer.from(hash, 'hex'));
    this.#grown();
  }

  #addKey(spki: string): void {
    try {
      const key = publicKeyOf(spki);
      this.#keys.set(keyIdOf(key), key);
    } catch {
      this.#problem('a public key cannot be read');
    }
  }

  #entry(line: string): void {
    const prefix = entryPrefix(this.#size);
    if (!line.startsWith(prefix) || !line.endsWith(entrySuffix)) {
      this.#problem(`entry ${this.#size} should stand here`);
      return;
    }
    const entry = line.slice(prefix.length, -entrySuffix.length);
    if (tenantOf(entry) !== this.#tenantId) this.#problem('the entry is not one of this tenant');
    for (const { level, index, hash } of addLeaf(this.#size, leafOf(entry), (subtree) =>
      this.#hashOf(subtree),
    ))
      this.#subtrees.set(`${level}/${index}`, hash);
    this.#size++;
    this.#grown();
  }

  /** Forgets the subtrees that no root needs any more, and compares the root where somebody knows it from elsewhere. */
  #grown(): void {
    const needed = subtreesOf({ start: 0, end: this.#size });
    if (this.#subtrees.size > needed.length) {
      const keep = new Set(needed.map(({ level, index }) => `${level}/${index}`));
      for (const key of this.#subtrees.keys()) if (!keep.has(key)) this.#subtrees.delete(key);
    }
    for (const { size, root } of this.#witnesses) {
      if (size === this.#size && root !== this.#rootNow().toString('hex'))
        this.#problem(
          `the head of ${size} entries that is known from elsewhere is another: the history was forked`,
        );
    }
  }

  #head(line: string): void {
    const parsed = parse(headLine, line);
    if (!parsed) {
      this.#problem('this is no tree head');
      return;
    }
    const { size, root, at, key_id, signature } = parsed.head;
    const head: SignedTreeHead = {
      tenantId: this.#tenantId ?? '',
      size,
      root: Buffer.from(root, 'hex'),
      at: new Date(at),
      keyId: key_id,
      signature: Buffer.from(signature, 'hex'),
    };
    const before = this.#lastHead;
    if (before && (size < before.size || head.at < before.at))
      this.#problem('the tree heads are not in their order');
    if (size !== this.#size)
      this.#problem(`the tree head is of ${size} entries, and ${this.#size} stand before it`);
    else if (!this.#rootNow().equals(head.root))
      this.#problem('the tree head is not that of the entries before it');
    const key = this.#signer(key_id);
    if (key && !isSignedBy(head, key)) this.#problem('the signature of the tree head is wrong');
    this.#heads++;
    this.#lastHead = head;
  }

  #seal(line: string): void {
    this.#phase = 'sealed';
    const parsed = parse(sealLine, line);
    if (!parsed) {
      this.#problem('this is no seal');
      return;
    }
    const { key_id, signature, ...seal } = parsed.seal;
    if (seal.lines !== this.#lines)
      this.#problem(`the seal is of ${seal.lines} lines, not of ${this.#lines}`);
    if (seal.sha256 !== this.#digest.copy().digest('hex')) this.#problem('the seal is of another text');
    const key = this.#signer(key_id);
    if (key && !verify(null, sealBytes(seal), key, Buffer.from(signature, 'hex')))
      this.#problem('the signature of the seal is wrong');
  }

  #signer(id: string): KeyObject | null {
    const key = this.#keys.get(id);
    if (!key) {
      this.#problem(`key ${id} signed, and is not among the export's keys`);
      return null;
    }
    this.#signers.add(id);
    if (this.#trusted !== null && !this.#trusted.includes(id)) this.#problem(`key ${id} is not one to trust`);
    return key;
  }

  #whole(): void {
    if (this.#size > this.#firstLeaf && this.#lastHead?.size !== this.#size)
      this.#problem('the last entries are not covered by a tree head');
    for (const { size } of this.#witnesses) {
      if (size < this.#firstLeaf)
        this.#problem(
          `a head of ${size} entries is known from elsewhere, and the entries before ${this.#firstLeaf} were pruned: the two cannot be compared`,
        );
      if (size > this.#size)
        this.#problem(
          `a head of ${size} entries is known from elsewhere, and here are ${this.#size}: it was cut off`,
        );
    }
  }

  #rootNow(): Hash {
    return hashOfRange({ start: 0, end: this.#size }, (subtree) => this.#hashOf(subtree));
  }

  #hashOf({ level, index }: Subtree): Hash {
    // What stands for pruned entries was found incomplete, and that was said.
    return this.#subtrees.get(`${level}/${index}`) ?? Buffer.alloc(32);
  }

  #problem(what: string): void {
    this.#problems.push(`line ${this.#lines + 1}: ${what}`);
  }
}

function parse<T>(schema: z.ZodType<T>, line: string): T | null {
  try {
    const value: unknown = JSON.parse(line);
    // Only as it is written: two lines that say the same must be the same.
    const parsed = JSON.stringify(value) === line ? schema.safeParse(value) : null;
    return parsed?.success ? parsed.data : null;
  } catch {
    return null;
  }
}

function tenantOf(entry: string): string | null {
  try {
    const { tenant_id } = JSON.parse(entry) as { tenant_id?: unknown };
    return typeof tenant_id === 'string' ? tenant_id : null;
  } catch {
    return null;
  }
}
