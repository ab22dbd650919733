import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentWords, createStemmer, fold, wordsOf } from './terms.ts';

describe('fold', () => {
  it('writes accented and compatibility letters plainly', () => {
    expect(fold('Café ﬁnance Ｘ２ naïve Ångström Straße')).toBe('Cafe finance X2 naive Angstrom Strasse');
  });

  it('keeps the marks that other scripts need', () => {
    expect(fold('がぎ')).toBe('がぎ');
    expect(fold('한국어')).toBe('한국어');
    expect(fold('ไทย')).toBe('ไทย');
  });
});

describe('wordsOf', () => {
  it('parts words at everything that is neither letter nor digit', () => {
    expect(wordsOf("It's $11,287.50 — e-mail foo_bar, β-catenin (GPT-4o)!")).toEqual(
      'it s 11 287 50 e mail foo bar β catenin gpt 4o'.split(' '),
    );
  });

  it('parts Japanese and Chinese, which have no spaces, into words', () => {
    expect(wordsOf('東京都の人口')).toContain('人口');
  });

  it('leaves out what is longer than any word', () => {
    expect(wordsOf(`short ${'x'.repeat(41)} ${'y'.repeat(40)}`)).toEqual(['short', 'y'.repeat(40)]);
  });

  it('takes any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const word of wordsOf(text)) expect(word).toMatch(/^[\p{Alphabetic}\p{N}]+$/u);
      }),
    );
  });
});

it('contentWords leaves out the words without a subject', () => {
  expect(contentWords('What are the limits of a tenant, and who sets them?')).toEqual([
    'limits',
    'tenant',
    'sets',
  ]);
});

it('createStemmer gives the same stem again', () => {
  const stem = createStemmer();
  expect([stem('limits'), stem('limits'), stem('limited')]).toEqual(['limit', 'limit', 'limit']);
});
