import { createHash, verify } from 'node:crypto';
import { entryPrefix, entrySuffix, leafOf, sealBytes } from './export-lines.ts';
import { ExportSigners, type KnownKey } from './export-signers.ts';
import { addLeaf, type Hash, hashOfRange, type Subtree, subtreesOf } from './merkle-tree.ts';
import { headerLine, headLine, parseLine, sealLine, tenantOf } from './parse-export-line.ts';
import { isSignedBy, type SignedTreeHead } from './tree-head.ts';

/** A tree head that the reader has from elsewhere: an earlier export, a log of heads, a colleague. */
export interface Witness {
  readonly size: number;
  /** Hex. */
  readonly root: string;
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

const maxProblems = 12;

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
  readonly #witnesses: readonly Witness[];
  readonly #digest = createHash('sha256');
  readonly #signers: ExportSigners;
  readonly #subtrees = new Map<string, Hash>();
  #lines = 0;
  #tenantId: string | null = null;
  #firstLeaf = 0;
  #size = 0;
  #heads = 0;
  #lastHead: SignedTreeHead | null = null;
  #phase: 'header' | 'entries' | 'sealed' = 'header';

  constructor({ trusted, witnesses = [], keys }: Knowledge) {
    this.#witnesses = witnesses;
    this.#signers = new ExportSigners(trusted, keys, (what) => this.#problem(what));
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
      keys: this.#signers.seen(),
    };
  }

  #header(line: string): void {
    const header = parseLine(headerLine, line);
    if (!header) {
      this.#problem('this is no header of an export');
      return;
    }
    this.#phase = 'entries';
    this.#tenantId = header.tenant_id;
    this.#firstLeaf = header.first_leaf;
    this.#size = header.first_leaf;
    if (header.version === 1) for (const spki of header.public_keys) this.#signers.add(spki, null, null);
    else {
      for (const { public_key, created_at, retired_at } of header.keys)
        this.#signers.add(
          public_key,
          new Date(created_at),
          retired_at === null ? null : new Date(retired_at),
        );
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
    const parsed = parseLine(headLine, line);
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
    const key = this.#signers.of(key_id, head.at);
    if (key && !isSignedBy(head, key)) this.#problem('the signature of the tree head is wrong');
    this.#heads++;
    this.#lastHead = head;
  }

  #seal(line: string): void {
    this.#phase = 'sealed';
    const parsed = parseLine(sealLine, line);
    if (!parsed) {
      this.#problem('this is no seal');
      return;
    }
    const { key_id, signature, ...seal } = parsed.seal;
    if (seal.lines !== this.#lines)
      this.#problem(`the seal is of ${seal.lines} lines, not of ${this.#lines}`);
    if (seal.sha256 !== this.#digest.copy().digest('hex')) this.#problem('the seal is of another text');
    const key = this.#signers.of(key_id, new Date(seal.at));
    if (this.#signers.isRetired(key_id)) this.#problem(`key ${key_id} made the seal, and was retired before`);
    if (key && !verify(null, sealBytes(seal), key, Buffer.from(signature, 'hex')))
      this.#problem('the signature of the seal is wrong');
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
