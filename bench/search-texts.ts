import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Repeatable chance in [0, 1): Park & Miller's generator, good enough to draw words. */
export function createChance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** About as many words as a chunk of 350 tokens has. */
const WORDS_PER_CHUNK = 240;
const VOCABULARY = 60_000;

export interface BenchTexts {
  readonly name: string;
  /** The text of one chunk, another each time. */
  chunk(): string;
  /** A question about that text: eight of its words, rare ones more often, put as people put it. */
  question(text: string): string;
}

/** Texts to index: stretches of the `.md` files of a folder, or words drawn by Zipf's law when there is none. */
export function createTexts(folder: string | undefined, chance: () => number): BenchTexts {
  const words = folder === undefined ? undefined : readWords(folder);
  return {
    name: folder === undefined ? 'words by Zipf’s law' : `texts of ${folder}`,
    chunk: () => (words ? stretch(words, chance) : drawn(chance)),
    question(text) {
      const known = text.match(/\p{L}{4,}/gu) ?? ['word'];
      const some = Array.from({ length: 8 }, () => known[Math.floor(chance() * known.length)]);
      return `What does the text say about ${some.join(' ')}?`;
    },
  };
}

function readWords(folder: string): string[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.md'));
  return files.flatMap((name) => readFileSync(join(folder, name), 'utf8').split(/(?<=\s)/));
}

/** A stretch of the texts in which every twentieth word is another, so that no two chunks are the same. */
function stretch(words: readonly string[], chance: () => number): string {
  const from = Math.floor(chance() * Math.max(1, words.length - WORDS_PER_CHUNK));
  const own = words.slice(from, from + WORDS_PER_CHUNK);
  for (let at = 0; at < own.length; at += 20) own[at] = `${words[Math.floor(chance() * words.length)]}`;
  return own.join('');
}

/** Rank r of V words with probability in proportion to 1/r: V to the power of a fraction is such a rank. */
function drawn(chance: () => number): string {
  const text: string[] = [];
  for (let at = 0; at < WORDS_PER_CHUNK; at++) {
    text.push(spell(Math.floor(VOCABULARY ** chance())) + (at % 17 === 16 ? '.' : ''));
  }
  return text.join(' ');
}

/** A pronounceable word for each number. */
function spell(number: number): string {
  let word = '';
  for (let rest = number + 70; rest > 0; rest = Math.floor(rest / 70)) {
    const syllable = rest % 70;
    word += `${'bdfgklmnprstvz'[syllable % 14]}${'aeiou'[Math.floor(syllable / 14)]}`;
  }
  return word;
}
