import { createHash } from 'node:crypto';

/**
 * The Merkle tree of RFC 9162, section 2.1, over SHA-256. Leaves are numbered from 0. A range of leaves has a hash of its
 * own; every proof is a list of such hashes, and every range is made of a few complete subtrees, which are what is stored.
 */

/** The leaves from `start` up to and without `end`. */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

/** A complete subtree: the leaves from `index * 2^level`, `2^level` of them. */
export interface Subtree {
  readonly level: number;
  readonly index: number;
}

export type Hash = Buffer;

const leafPrefix = Buffer.from([0]);
const nodePrefix = Buffer.from([1]);

/** The root of a tree without leaves. */
export const emptyRoot: Hash = createHash('sha256').digest();

/** @param entry the leaf's bytes. @returns 32 bytes: SHA-256(0x00 ‖ entry). */
export function hashLeaf(entry: Uint8Array): Hash {
  return createHash('sha256').update(leafPrefix).update(entry).digest();
}

/** @returns 32 bytes: SHA-256(0x01 ‖ left ‖ right). */
export function hashNode(left: Hash, right: Hash): Hash {
  return createHash('sha256').update(nodePrefix).update(left).update(right).digest();
}

/** The complete subtrees that a range is made of, from left to right: at most two for each level. */
export function subtreesOf({ start, end }: LeafRange): Subtree[] {
  if (start === end) return [];
  const size = end - start;
  const level = Math.floor(Math.log2(size));
  if (size === 2 ** level && start % size === 0) return [{ level, index: start / size }];
  const middle = start + largestPowerBelow(size);
  return [...subtreesOf({ start, end: middle }), ...subtreesOf({ start: middle, end })];
}

/**
 * The hash of a range, from the hashes of its complete subtrees. Only ranges that occur in proofs have one: they begin at
 * a multiple of the largest power of two that is not above their size.
 */
export function hashOfRange({ start, end }: LeafRange, hashOf: (subtree: Subtree) => Hash): Hash {
  if (start === end) return emptyRoot;
  const size = end - start;
  const level = Math.floor(Math.log2(size));
  if (size === 2 ** level && start % size === 0) return hashOf({ level, index: start / size });
  const middle = start + largestPowerBelow(size);
  return hashNode(hashOfRange({ start, end: middle }, hashOf), hashOfRange({ start: middle, end }, hashOf));
}

/**
 * The complete subtrees that come to be as one leaf is added to a tree of `index` leaves, smallest first: the leaf itself,
 * and each one whose right half it completes. `leftOf` gives the left halves, which are there already.
 */
export function addLeaf(
  index: number,
  leaf: Hash,
  leftOf: (subtree: Subtree) => Hash,
): (Subtree & { readonly hash: Hash })[] {
  const added = [{ level: 0, index, hash: leaf }];
  let hash = leaf;
  let at = index;
  for (let level = 0; at % 2 === 1; level++) {
    hash = hashNode(leftOf({ level, index: at - 1 }), hash);
    at = (at - 1) / 2;
    added.push({ level: level + 1, index: at, hash });
  }
  return added;
}

/** The ranges whose hashes prove that leaf `index` is in the tree of `size` leaves, from the leaf up (2.1.3.1). */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  if (!(index >= 0 && index < size)) throw new RangeError(`there is no leaf ${index} among ${size}`);
  return path(index, { start: 0, end: size });
}

function path(index: number, { start, end }: LeafRange): LeafRange[] {
  if (end - start === 1) return [];
  const middle = start + largestPowerBelow(end - start);
  return index < middle
    ? [...path(index, { start, end: middle }), { start: middle, end }]
    : [...path(index, { start: middle, end }), { start, end: middle }];
}

/** The ranges whose hashes prove that the tree of `first` leaves is the beginning of that of `second` (2.1.4.1). */
export function consistencyRanges(first: number, second: number): LeafRange[] {
  if (!(first >= 0 && first <= second)) throw new RangeError(`${first} leaves do not come before ${second}`);
  if (first === 0 || first === second) return [];
  return subproof(first, { start: 0, end: second }, true);
}

function subproof(first: number, range: LeafRange, isWhole: boolean): LeafRange[] {
  const { start, end } = range;
  if (first === end) return isWhole ? [] : [range];
  const middle = start + largestPowerBelow(end - start);
  return first <= middle
    ? [...subproof(first, { start, end: middle }, isWhole), { start: middle, end }]
    : [...subproof(first, { start: middle, end }, false), { start, end: middle }];
}

/** Whether `proof` shows that `leaf` is leaf `index` of the tree of `size` leaves with that root (2.1.3.2). */
export function verifyInclusion(
  leaf: Hash,
  index: number,
  size: number,
  proof: readonly Hash[],
  root: Hash,
): boolean {
  if (!(index >= 0 && index < size)) return false;
  let fn = index;
  let sn = size - 1;
  let hash = leaf;
  for (const sibling of proof) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      hash = hashNode(sibling, hash);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else {
      hash = hashNode(hash, sibling);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && hash.equals(root);
}

/** Whether `proof` shows that the tree of `first` leaves with its root is the beginning of the other one (2.1.4.2). */
export function verifyConsistency(
  first: { readonly size: number; readonly root: Hash },
  second: { readonly size: number; readonly root: Hash },
  proof: readonly Hash[],
): boolean {
  if (first.size > second.size) return false;
  if (first.size === second.size) return proof.length === 0 && first.root.equals(second.root);
  if (first.size === 0) return proof.length === 0 && first.root.equals(emptyRoot);
  const isPowerOfTwo = Number.isInteger(Math.log2(first.size));
  const [start, ...rest] = isPowerOfTwo ? [first.root, ...proof] : proof;
  if (start === undefined) return false;
  let fn = first.size - 1;
  let sn = second.size - 1;
  while (fn % 2 === 1) {
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  let firstHash = start;
  let secondHash = start;
  for (const sibling of rest) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      firstHash = hashNode(sibling, firstHash);
      secondHash = hashNode(sibling, secondHash);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else {
      secondHash = hashNode(secondHash, sibling);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && firstHash.equals(first.root) && secondHash.equals(second.root);
}

/** The largest power of two that is smaller than `n`, for `n` above 1. */
function largestPowerBelow(n: number): number {
  return 2 ** Math.floor(Math.log2(n - 1));
}
