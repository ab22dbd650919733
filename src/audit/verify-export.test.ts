import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExportWriter, leafOf, sealBytes } from './export-lines.ts';
import { addLeaf, type Hash, hashOfRange, type Subtree, subtreesOf } from './merkle-tree.ts';
import { keyIdOf, signHead } from './tree-head.ts';
import { verifyExport } from './verify-export.ts';

interface Key {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly spki: string;
}

function newKey(): Key {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const spki = publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
  return { id: keyIdOf(publicKey), privateKey, spki };
}

const keyOf = ({ spki }: Key, createdAt = time(0), retiredAt: Date | null = null) => ({
  publicKey: spki,
  createdAt,
  retiredAt,
});

const house = newKey();
const stranger = newKey();
const tenantId = '019f0c0e-7a50-7e1c-9d0e-2f6f6a1b8a11';
const time = (n: number) => new Date(Date.UTC(2026, 10, 21, 0, 0, n));
const entryOf = (n: number) =>
  JSON.stringify({
    tenant_id: tenantId,
    n,
    action: n % 3 === 0 ? 'key.created' : 'document.deleted',
    note: 'ä"\\',
  });

interface Signing {
  /** Who signs the head of so many entries. */
  readonly by: (size: number) => Key;
  readonly seal: Key;
  /** As the header names them. */
  readonly keys: readonly ReturnType<typeof keyOf>[];
}

const alone = (key: Key): Signing => ({ by: () => key, seal: key, keys: [keyOf(key)] });

/** An export as a server makes it: pruned before `firstLeaf`, with a head behind each of `heads`. */
function makeExport(
  entries: readonly string[],
  heads: readonly number[],
  firstLeaf = 0,
  { by, seal, keys }: Signing = alone(house),
): string[] {
  const stored = new Map<string, Hash>();
  const hashOf = ({ level, index }: Subtree) => stored.get(`${level}/${index}`) ?? Buffer.alloc(32);
  entries.forEach((entry, n) => {
    for (const { level, index, hash } of addLeaf(n, leafOf(entry), hashOf))
      stored.set(`${level}/${index}`, hash);
  });
  const writer = new ExportWriter();
  const pruned = subtreesOf({ start: 0, end: firstLeaf }).map((subtree) => ({
    ...subtree,
    hash: hashOf(subtree),
  }));
  const lines = [writer.header({ tenantId, exportedAt: time(0), firstLeaf, pruned, keys })];
  const headAt = (size: number) => {
    if (!heads.includes(size)) return;
    const root = hashOfRange({ start: 0, end: size }, hashOf);
    lines.push(writer.head(signHead({ tenantId, size, root, at: time(size) }, by(size))));
  };
  headAt(firstLeaf);
  entries.forEach((entry, n) => {
    if (n < firstLeaf) return;
    lines.push(writer.entry(n, entry));
    headAt(n + 1);
  });
  lines.push(writer.seal(time(entries.length + 1), seal));
  return lines.map((line) => line.slice(0, -1));
}

const entries = Array.from({ length: 23 }, (_, n) => entryOf(n));
const good = makeExport(entries, [4, 11, 16, 23]);
const trusted = { trusted: [house.id] };

/** One way of changing an export of so many lines. */
const tampering = (lineCount: number) => {
  const place = fc.nat({ max: lineCount - 1 });
  return fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), line: place, at: fc.nat(), bit: fc.nat({ max: 6 }) }),
    fc.record({ kind: fc.constant('drop' as const), line: place, count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('move' as const), line: place, to: place }),
    fc.record({ kind: fc.constant('double' as const), line: place }),
    fc.record({ kind: fc.constant('cut' as const), line: place, at: fc.nat() }),
    fc.record({ kind: fc.constant('add' as const), line: place, entry: fc.nat({ max: 30 }) }),
    fc.record({ kind: fc.constant('replace' as const), line: place, by: place }),
  );
};
type Tampering = ReturnType<typeof tampering> extends fc.Arbitrary<infer How> ? How : never;

function tamperedWith(exported: readonly string[], how: Tampering): string[] {
  const lines = [...exported];
  const line = lines[how.line] ?? '';
  if (how.kind === 'flip') {
    const at = how.at % line.length;
    const flipped = String.fromCharCode(line.charCodeAt(at) ^ (1 << how.bit));
    lines[how.line] = `${line.slice(0, at)}${flipped}${line.slice(at + 1)}`;
  } else if (how.kind === 'drop') lines.splice(how.line, how.count);
  else if (how.kind === 'move') lines.splice(how.to, 0, ...lines.splice(how.line, 1));
  else if (how.kind === 'double') lines.splice(how.line, 0, line);
  else if (how.kind === 'cut') lines.splice(how.line, lines.length, line.slice(0, how.at % line.length));
  else if (how.kind === 'add')
    lines.splice(how.line, 0, `{"leaf":${how.line - 1},"entry":${entryOf(how.entry)}}`);
  else lines[how.line] = lines[how.by] ?? '';
  return lines;
}

/** What a server exports that finds these lines in its tables. */
function sealedBy(key: Key, lines: readonly string[]): string[] {
  const text = lines.map((line) => `${line}\n`).join('');
  const sha256 = createHash('sha256').update(text).digest('hex');
  const seal = { lines: lines.length, sha256, at: time(60).toISOString() };
  const signature = sign(null, sealBytes(seal), key.privateKey).toString('hex');
  return [...lines, JSON.stringify({ seal: { ...seal, key_id: key.id, signature } })];
}

describe('the offline check of an export', () => {
  it('accepts what a server made, pruned or not, and tells what it holds', async () => {
    expect(await verifyExport(good, trusted)).toMatchObject({
      isValid: true,
      problems: [],
      tenantId,
      firstLeaf: 0,
      size: 23,
      heads: 4,
      keys: [{ id: house.id, trusted: true }],
    });
    const whole = await verifyExport(good);
    expect(whole.keys).toEqual([{ id: house.id, trusted: false }]);
    for (const firstLeaf of [1, 7, 8, 16, 22, 23]) {
      const pruned = await verifyExport(makeExport(entries, [16, 23], firstLeaf), trusted);
      expect(pruned).toMatchObject({ isValid: true, firstLeaf, size: 23, root: whole.root });
    }
    expect(await verifyExport(makeExport([], []), trusted)).toMatchObject({ isValid: true, size: 0 });
  });

  it('does not pass over a witness of what was pruned, with which nothing can be compared', async () => {
    const witness = { size: 7, root: '0'.repeat(64) };
    const pruned = await verifyExport(makeExport(entries, [16, 23], 8), { ...trusted, witnesses: [witness] });
    expect(pruned).toMatchObject({ isValid: false });
    expect(pruned.problems.join()).toContain('cannot be compared');
  });

  it('catches 10,000 random tamperings: flipped, dropped, moved, doubled, cut off, added, replaced', async () => {
    let done = 0;
    await fc.assert(
      fc.asyncProperty(tampering(good.length), async (how) => {
        const lines = tamperedWith(good, how);
        const isSame = lines.join('\n') === good.join('\n');
        expect((await verifyExport(lines, trusted)).isValid).toBe(isSame);
        if (!isSame) done++;
      }),
      { numRuns: 11_000 },
    );
    expect(done).toBeGreaterThan(10_000);
  }, 120_000);

  it('takes no entries but the first so many that a head was signed for, though a server sealed what was changed in its tables', async () => {
    const isEntry = (line: string) => line.startsWith('{"leaf":');
    const all = good.filter(isEntry);
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(tampering(good.length - 1), async (how) => {
        const lines = tamperedWith(good.slice(0, -1), how);
        const { isValid, size } = await verifyExport(sealedBy(house, lines), trusted);
        if (!isValid) {
          refused++;
          return;
        }
        expect([0, 4, 11, 16, 23]).toContain(size);
        expect(lines.filter(isEntry)).toEqual(all.slice(0, size));
      }),
      { numRuns: 2_000 },
    );
    expect(refused).toBeGreaterThan(1_000);
    // The head of a log is that of its tenant: nothing of it can be told as another's.
    const renamed = good
      .slice(0, -1)
      .map((line) => line.replaceAll(tenantId, tenantId.replace('019f', '019e')));
    expect((await verifyExport(sealedBy(house, renamed), trusted)).problems.join()).toContain('signature');
  }, 120_000);

  it('catches a history that somebody else signed, unless nobody is to be trusted in particular', async () => {
    const forged = makeExport(
      [...entries.slice(0, 5), entryOf(99), ...entries.slice(6)],
      [23],
      0,
      alone(stranger),
    );
    expect((await verifyExport(forged, trusted)).problems[0]).toContain('not one to trust');
    expect(await verifyExport(forged)).toMatchObject({
      isValid: true,
      keys: [{ id: stranger.id, trusted: false }],
    });
  });

  it('catches a fork or a shortening by the holder of the key, for whoever knows an earlier head', async () => {
    const { root } = await verifyExport(makeExport(entries.slice(0, 11), [11]), trusted);
    const witness = [{ size: 11, root: root ?? '' }];
    expect((await verifyExport(good, { ...trusted, witnesses: witness })).isValid).toBe(true);
    const forked = makeExport([...entries.slice(0, 3), entryOf(99), ...entries.slice(4)], [4, 11, 23]);
    expect((await verifyExport(forked, trusted)).isValid).toBe(true);
    expect((await verifyExport(forked, { ...trusted, witnesses: witness })).problems[0]).toContain('forked');
    const short = makeExport(entries.slice(0, 7), [7]);
    expect((await verifyExport(short, { ...trusted, witnesses: witness })).problems[0]).toContain('cut off');
  });

  describe('after the key was rotated', () => {
    const next = newKey();
    const rotatedAt = 11;
    const keys = [keyOf(house, time(0), time(rotatedAt)), keyOf(next, time(rotatedAt))];
    const known = [house, next].map(({ id }, n) => ({
      id,
      createdAt: keys[n]?.createdAt ?? time(0),
      retiredAt: keys[n]?.retiredAt ?? null,
    }));
    const by = (size: number) => (size <= rotatedAt ? house : next);
    const heads = [4, 11, 16, 23];
    const firstProblem = async (signing: Partial<Signing>, knowledge = {}, made = heads) =>
      (await verifyExport(makeExport(entries, made, 0, { by, seal: next, keys, ...signing }), knowledge))
        .problems[0];

    it('accepts heads of both, each in its time, pruned or not', async () => {
      const ids = { trusted: [house.id, next.id] };
      for (const firstLeaf of [0, 7, 11, 22]) {
        const lines = makeExport(entries, heads, firstLeaf, { by, seal: next, keys });
        expect(await verifyExport(lines, ids)).toMatchObject({ isValid: true, size: 23 });
        expect(await verifyExport(lines, { keys: known })).toMatchObject({ isValid: true });
      }
      // What was exported before, too, by whoever knows the keys of today.
      expect(await verifyExport(makeExport(entries.slice(0, 10), [10]), { keys: known })).toMatchObject({
        isValid: true,
      });
    });

    it('catches a head or a seal of a retired key, and a head of a key that was not there yet', async () => {
      expect(await firstProblem({ by: () => house })).toMatch(/after it was retired/);
      expect(await firstProblem({ by: (size) => (size === 23 ? house : by(size)) })).toMatch(
        /after it was retired/,
      );
      expect(await firstProblem({ seal: house })).toMatch(/after it was retired/);
      const retiredLater = [keyOf(house, time(0), time(99)), keyOf(next, time(rotatedAt))];
      expect(await firstProblem({ seal: house, keys: retiredLater })).toMatch(/seal, and was retired before/);
      expect(await firstProblem({ by: () => next })).toMatch(/when there was no such key yet/);
    });

    it('catches who holds a stolen key that has retired, whatever their export says of it', async () => {
      const asIfNothing = { by: () => house, seal: house, keys: [keyOf(house)] };
      expect(await firstProblem(asIfNothing, { trusted: [house.id, next.id] })).toBeUndefined();
      expect(await firstProblem(asIfNothing, { keys: known })).toMatch(/after it was retired/);
    });

    it('catches a key that the log never knew', async () => {
      const withStranger = { by: (size: number) => (size === 23 ? stranger : by(size)) };
      expect(await firstProblem(withStranger)).toMatch(/not among the export's keys/);
      const named = { ...withStranger, keys: [...keys, keyOf(stranger, time(12))] };
      expect(await firstProblem(named, { keys: known })).toMatch(/not one that the log is known to have had/);
    });

    it('reads exports from before keys had times', async () => {
      const lines = makeExport(entries, [23]);
      const header = JSON.parse(lines[0] ?? '');
      const { keys: _keys, exported_at, first_leaf, pruned, tenant_id, kind } = header;
      const old = { kind, version: 1, tenant_id, exported_at, first_leaf, pruned, public_keys: [house.spki] };
      lines[0] = JSON.stringify(old);
      const before = lines.slice(0, -1).map((line) => `${line}\n`);
      const seal = {
        lines: before.length,
        sha256: createHash('sha256').update(before.join('')).digest('hex'),
        at: time(24).toISOString(),
      };
      const signature = sign(null, sealBytes(seal), house.privateKey).toString('hex');
      lines[lines.length - 1] = JSON.stringify({ seal: { ...seal, key_id: house.id, signature } });
      expect(await verifyExport(lines, trusted)).toMatchObject({ isValid: true, size: 23 });
    });
  });

  it('says what is wrong, and where', async () => {
    const problems = async (lines: readonly string[]) => (await verifyExport(lines, trusted)).problems;
    expect(await problems([])).toEqual(['line 1: there is no header']);
    expect(await problems(['hello'])).toEqual([
      'line 1: this is no header of an export',
      'line 2: there is no header',
    ]);
    expect(await problems(good.slice(0, -1))).toEqual([
      `line ${good.length}: the export breaks off: its seal is missing`,
    ]);
    const uncovered = makeExport(entries, [4, 11]);
    expect(await problems(uncovered)).toEqual([
      `line ${uncovered.length + 1}: the last entries are not covered by a tree head`,
    ]);
    expect((await problems([...good.slice(0, 3), ...good.slice(4)]))[0]).toBe(
      'line 4: entry 2 should stand here',
    );
    expect(await problems([...good, ''])).toEqual([]);
    expect((await problems([...good, 'more']))[0]).toContain('after the seal');
  });

  it('does not take another tenant’s entry for its own', async () => {
    const other = [JSON.stringify({ tenant_id: 'other', n: 0 })];
    expect((await verifyExport(makeExport(other, [1]), trusted)).problems[0]).toContain(
      'not one of this tenant',
    );
  });
});
