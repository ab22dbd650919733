import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { returnPath } from './return-path.ts';

describe('where a browser goes after signing in', () => {
  it('is the path that was asked for', () => {
    expect(returnPath('/console/costs?month=5#top')).toBe('/console/costs?month=5#top');
    expect(returnPath(undefined)).toBe('/');
  });

  it('is never another host', () => {
    const tricks = [
      'https://evil.example',
      '//evil.example',
      '/\\evil.example',
      '\\\\evil.example',
      '/\t/evil.example',
      '/\n/evil.example',
      'javascript:alert(1)',
      '/..//evil.example',
      '/.//evil.example',
      '/a/..//evil.example',
      ' //evil.example',
      '/\u200b/evil.example',
      'evil.example',
      '',
    ];
    for (const trick of tricks) {
      const path = returnPath(trick);
      expect([trick, new URL(path, 'https://gatehouse.example').origin]).toEqual([
        trick,
        'https://gatehouse.example',
      ]);
    }
    const pieces = fc.constantFrom(
      '/',
      '\\',
      '.',
      '..',
      '@',
      ':',
      '?',
      '#',
      'evil.example',
      'https:',
      '%2f',
      '\t',
      '\u0000',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 4 })), { maxLength: 10 }), (parts) => {
        const path = returnPath(parts.join(''));
        expect(new URL(path, 'https://gatehouse.example').origin).toBe('https://gatehouse.example');
        expect(path.startsWith('/') && !path.startsWith('//')).toBe(true);
      }),
    );
  });
});
