import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addLeaf,
  consistencyRanges,
  emptyRoot,
  type Hash,
  hashLeaf,
  hashNode,
  hashOfRange,
  inclusionRanges,
  type Subtree,
  subtreesOf,
  verifyConsistency,
  verifyInclusion,
} from './merkle-tree.ts';

/** The leaves and roots that implementations of Certificate Transparency test with. */
const knownLeaves = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const knownRoots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

/** A tree built leaf by leaf, as it is stored. */
function grow(leaves: readonly Hash[]): (subtree: Subtree) => Hash {
  const stored = new Map<string, Hash>();
  const hashOf = ({ level, index }: Subtree): Hash => {
    const hash = stored.get(`${level}/${index}`);
    if (!hash) throw new Error(`subtree ${level}/${index} is not complete`);
    return hash;
  };
  leaves.forEach((leaf, index) => {
    for (const added of addLeaf(index, leaf, hashOf)) stored.set(`${added.level}/${added.index}`, added.hash);
  });
  return hashOf;
}

/** The definition of section 2.1.1, word for word. */
function rootByDefinition(leaves: readonly Hash[]): Hash {
  if (leaves.length === 0) return emptyRoot;
  const [only] = leaves;
  if (leaves.length === 1 && only) return only;
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return hashNode(rootByDefinition(leaves.slice(0, k)), rootByDefinition(leaves.slice(k)));
}

const leavesOf = (size: number) =>
  Array.from({ length: size }, (_, n) => hashLeaf(Buffer.from(`entry ${n}`)));
const sizes = fc.integer({ min: 1, max: 200 });

describe('the Merkle tree', () => {
  it('has the roots that others compute', () => {
    const leaves = knownLeaves.map((hex) => hashLeaf(Buffer.from(hex, 'hex')));
    expect(emptyRoot.toString('hex')).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
    knownRoots.forEach((root, n) => {
      const hashOf = grow(leaves.slice(0, n + 1));
      expect(hashOfRange({ start: 0, end: n + 1 }, hashOf).toString('hex')).toBe(root);
    });
  });

  it('has the root of the definition at every size, from complete subtrees alone', () => {
    const leaves = leavesOf(130);
    const hashOf = grow(leaves);
    for (let size = 0; size <= leaves.length; size++) {
      expect(hashOfRange({ start: 0, end: size }, hashOf)).toEqual(rootByDefinition(leaves.slice(0, size)));
      expect(subtreesOf({ start: 0, end: size }).length).toBeLessThanOrEqual(8);
    }
  });

  it('proves each leaf, and no other leaf, place, size or root', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), (size, pick, other) => {
        const index = pick % size;
        const leaves = leavesOf(size);
        const hashOf = grow(leaves);
        const root = hashOfRange({ start: 0, end: size }, hashOf);
        const proof = inclusionRanges(index, size).map((range) => hashOfRange(range, hashOf));
        const leaf = leaves[index] ?? emptyRoot;
        expect(verifyInclusion(leaf, index, size, proof, root)).toBe(true);
        const elsewhere = other % size;
        if (elsewhere !== index) {
          expect(verifyInclusion(leaves[elsewhere] ?? emptyRoot, index, size, proof, root)).toBe(false);
          expect(verifyInclusion(leaf, elsewhere, size, proof, root)).toBe(false);
        }
        expect(verifyInclusion(leaf, index, size, [...proof, root], root)).toBe(false);
        expect(verifyInclusion(leaf, index, size, proof.slice(1), root)).toBe(size === 1);
        expect(verifyInclusion(leaf, index, size, proof, hashLeaf(root))).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  it('proves that a smaller tree is the beginning of a larger one, and no other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200 }), sizes, fc.nat(), (a, b, pick) => {
        const [first, second] = a <= b ? [a, b] : [b, a];
        const leaves = leavesOf(second);
        const hashOf = grow(leaves);
        const rootOf = (size: number) => hashOfRange({ start: 0, end: size }, hashOf);
        const proof = consistencyRanges(first, second).map((range) => hashOfRange(range, hashOf));
        const before = { size: first, root: rootOf(first) };
        const after = { size: second, root: rootOf(second) };
        expect(verifyConsistency(before, after, proof)).toBe(true);
        if (first === 0) return;
        const changed = pick % first;
        const forked = leaves.map((leaf, n) => (n === changed ? hashLeaf(leaf) : leaf));
        const forkedHash = grow(forked);
        const forkedRoot = hashOfRange({ start: 0, end: first }, forkedHash);
        expect(verifyConsistency({ size: first, root: forkedRoot }, after, proof)).toBe(false);
        const forkedProof = consistencyRanges(first, second).map((range) => hashOfRange(range, forkedHash));
        expect(
          verifyConsistency(
            before,
            { size: second, root: hashOfRange({ start: 0, end: second }, forkedHash) },
            forkedProof,
          ),
        ).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  it('refuses to prove what is not there', () => {
    expect(() => inclusionRanges(3, 3)).toThrow(RangeError);
    expect(() => inclusionRanges(-1, 3)).toThrow(RangeError);
    expect(() => consistencyRanges(4, 3)).toThrow(RangeError);
  });
});
