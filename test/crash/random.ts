import { createSeededRandom } from '../../tools/simulator/seeded.ts';

/** Draws that are the same for the same seed; what they decide is repeatable, when it happens is not. */
export interface Draws {
  /** In [0, 1). */
  number(): number;
  /** A whole number from `least` to `most`, both included. */
  integer(least: number, most: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** One of the names, each as likely as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name;
  shuffled<T>(items: readonly T[]): T[];
}

export function createDraws(seed: number): Draws {
  const number = createSeededRandom(seed);
  const integer = (least: number, most: number) => least + Math.floor(number() * (most - least + 1));
  return {
    number,
    integer,
    chance: (probability) => number() < probability,
    pick<T>(items: readonly T[]): T {
      if (items.length === 0) throw new RangeError('nothing to pick from');
      return items[integer(0, items.length - 1)] as T;
    },
    weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
      const names = Object.keys(weights) as Name[];
      let left = number() * names.reduce((sum, name) => sum + weights[name], 0);
      for (const name of names) {
        left -= weights[name];
        if (left < 0) return name;
      }
      return names.at(-1) as Name;
    },
    shuffled<T>(items: readonly T[]): T[] {
      const keyed = items.map((item) => ({ item, key: number() }));
      return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
    },
  };
}
