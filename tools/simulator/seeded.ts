/**
 * Repeatable randomness: everything the simulator chooses comes from the seed and the request, so that a failing
 * test can be run again and see the same answers, tokens and faults.
 */

/** Numbers in [0, 1), the same sequence for the same seed. */
export type SeededRandom = () => number;

/**
 * A 32-bit unsigned hash of a text's UTF-16 code units: FNV-1a (offset 2166136261, prime 16777619) with the seed
 * folded into the start, then mixed so that neighbouring texts do not give neighbouring numbers.
 */
export function hash32(text: string, seed = 0): number {
  let hash = (2166136261 ^ seed) | 0;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 16777619);
  }
  return scramble(hash);
}

/** A random sequence: a Weyl sequence (step 2^32 / golden ratio) through the same scrambler. Period 2^32. */
export function createSeededRandom(seed: number): SeededRandom {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    return scramble(state) / 4294967296;
  };
}

/** One element, or undefined of an empty list. */
export function pick<T>(random: SeededRandom, items: readonly T[]): T | undefined {
  return items[Math.floor(random() * items.length)];
}

/** Lower-case hexadecimal text of the asked length. */
export function seededHex(random: SeededRandom, length: number): string {
  let text = '';
  while (text.length < length) {
    text += Math.floor(random() * 4294967296)
      .toString(16)
      .padStart(8, '0');
  }
  return text.slice(0, length);
}

/** The finaliser of MurmurHash3 (32 bit): each input bit changes each output bit with a chance near one half. */
function scramble(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
