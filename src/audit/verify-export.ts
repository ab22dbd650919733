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

/** A key of the log, as the reader knows it from elsewhere: from `GET /api/v1/audit-logs/keys`, kept on another machine. */
export interface KnownKey {
  readonly id: string;
  readonly createdAt: Date;
  /** From then on it signed nothing; null: it signed when this was written down. */
  readonly retiredAt: Date | null;
}

/** What the reader knows from elsewhere. */
export interface Knowledge {
  /** Ids of keys; absent: any. */
  readonly trusted?: readonly string[] | undefined;
  readonly witnesses?: readonly Witness[];
  /** All keys that the log ever had; absent: those that the export names. */
  readonly keys?: readonly KnownKey[] | undefined;
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
const headerBase = z.strictObject({
  kind: z.literal(exportKind),
  tenant_id: z.string(),
  exported_at: time,
  first_leaf: count,
  pruned: z.array(z.strictObject({ level: count, index: count, hash: hex })).max(64),
});
const mostKeys = 1_000;
/** Version 1 told keys without their times. */
const headerLineV1 = headerBase.extend({
  version: z.literal(1),
  public_keys: z.array(z.string()).min(1).max(mostKeys),
});
const headerLineV2 = headerBase.extend({
  version: z.literal(2),
  keys: z
    .array(z.strictObject({ public_key: z.string(), created_at: time, retired_at: time.nullable() }))
    .min(1)
    .max(mostKeys),
});
const headerLine = z.discriminatedUnion('version', [headerLineV1, headerLineV2]);
const headLine = z.strictObject({
  head: z.strictObject({ size: count, root: hex, at: time, key_id: z.string(), signature }),
});
const sealLine = z.strictObject({
  seal: z.strictObject({ lines: count, sha256: hex, at: time, key_id: z.string(), signature }),
});

const maxProblems = 12;

interface ExportKey {
  readonly key: KeyObject;
  /** Null: not told. */
  readonly createdAt: Date | null;
  readonly retiredAt: Date | null;
  /** As the export itself says. */
  readonly isRetired: boolean;
}

/**
 * Checks an export by itself: that every entry is where it was, that the signed tree heads are those of these entries,
 * that nothing was added, left out or cut off, and that the whole is sealed. Needs no server and no database.
 *
 * Whoever holds the signing key can make a valid export of another history. Against that help `witnesses`: a head seen
 * before must be the head of these entries, too. And `trusted` or `keys`: without them the export's own keys are taken for
 * what they say, which shows only that one hand made it. `keys` also tell until when each may have signed, whatever an
 * export says that was made with one that was stolen after it had retired.
 *
 * @param lines the export's lines without their line feeds, the last one possibly empty.
 */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  known: Knowledge = {},
): Promise<Verification> {
  const check = new ExportCheck(known);
  for await (const line of lines) {
    check.line(line);
    if (check.isHopeless) break;
  }
  return check.end();
}

class ExportCheck {
  readonly #problems: string[] = [];
  readonly #trusted: readonly string[] | null;
  /** By id; null: nobody wrote them down. */
  readonly #known: ReadonlyMap<string, KnownKey> | null;
  readonly #witnesses: readonly Witness[];
  readonly #digest = createHash('sha256');
  readonly #keys = new Map<string, ExportKey>();
  readonly #signers = new Set<string>();
  readonly #subtrees = new Map<string, Hash>();
  #lines = 0;
  #tenantId: string | null = null;
  #firstLeaf = 0;
  #size = 0;
  #heads = 0;
  #lastHead: SignedTreeHead | null = null;
  #phase: 'header' | 'entries' | 'sealed' = 'header';

  constructor({ trusted, witnesses = [], keys }: Knowledge) {
    this.#trusted = trusted ?? null;
    this.#witnesses = witnesses;
    this.#known = keys ? new Map(keys.map((key) => [key.id, key])) : null;
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
    if (header.version === 1) for (const spki of header.public_keys) this.#addKey(spki, null, null);
    else {
      for (const { public_key, created_at, retired_at } of header.keys)
        this.#addKey(public_key, new Date(created_at), retired_at === null ? null : new Date(retired_at));
    }
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

  #addKey(spki: string, createdAt: Date | null, retiredAt: Date | null): void {
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
    const key = this.#signer(key_id, head.at);
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
    const key = this.#signer(key_id, new Date(seal.at));
    if (this.#keys.get(key_id)?.isRetired)
      this.#problem(`key ${key_id} made the seal, and was retired before`);
    if (key && !verify(null, sealBytes(seal), key, Buffer.from(signature, 'hex')))
      this.#problem('the signature of the seal is wrong');
  }

  #signer(id: string, at: Date): KeyObject | null {
    const signer = this.#keys.get(id);
    if (!signer) {
      this.#problem(`key ${id} signed, and is not among the export's keys`);
      return null;
    }
    this.#signers.add(id);
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

function earlier(one: Date | null, other: Date | null): Date | null {
  if (one === null || other === null) return one ?? other;
  return one < other ? one : other;
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
