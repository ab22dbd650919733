import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stem } from './stem.ts';

describe('stem', () => {
  it.each([
    // Plurals and participles.
    ['indexes', 'index'],
    ['caresses', 'caress'],
    ['ties', 'tie'],
    ['cries', 'cri'],
    ['gas', 'gas'],
    ['gaps', 'gap'],
    ['agreed', 'agre'],
    ['feed', 'feed'],
    ['hoping', 'hope'],
    ['hopping', 'hop'],
    ['falling', 'fall'],
    ['bled', 'bled'],
    ['luxuriated', 'luxuri'],
    ['repeatedly', 'repeat'],
    // y, and regions after the usual and the special beginnings.
    ['happy', 'happi'],
    ['say', 'say'],
    ['youth', 'youth'],
    ['generously', 'generous'],
    ['general', 'general'],
    ['communication', 'communic'],
    // Longer suffixes.
    ['relational', 'relat'],
    ['conditional', 'condit'],
    ['organization', 'organ'],
    ['hopefulness', 'hope'],
    ['sensibility', 'sensibl'],
    ['analogy', 'analog'],
    ['quickly', 'quick'],
    ['formative', 'format'],
    ['duplicate', 'duplic'],
    ['adoption', 'adopt'],
    ['replacement', 'replac'],
    ['controlling', 'control'],
    ['rate', 'rate'],
    ['cease', 'ceas'],
    // Exceptions, and words too short to touch.
    ['skies', 'sky'],
    ['dying', 'die'],
    ['news', 'news'],
    ['innings', 'inning'],
    ['exceeds', 'exceed'],
    ['is', 'is'],
  ])('%s → %s', (word, expected) => {
    expect(stem(word)).toBe(expected);
  });

  it('never lengthens by more than a letter, and leaves words of other scripts whole', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{1,20}$/), (word) => {
        expect(stem(word).length).toBeLessThanOrEqual(word.length + 1);
        expect(stem(word).length).toBeGreaterThan(0);
      }),
    );
    expect(stem('βλέπω')).toBe('βλέπω');
    expect(stem('検索する')).toBe('検索する');
  });
});
