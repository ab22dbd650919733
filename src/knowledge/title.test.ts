import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanFileName, cleanTitle, firstWords, provisionalTitle, readTitle } from './title.ts';

describe('cleanFileName', () => {
  test.each([
    ['report.pdf', 'report.pdf'],
    ['../../etc/passwd', 'passwd'],
    ['C:\\Users\\me\\plan.docx', 'plan.docx'],
    ['a\u0000b\nc.txt', 'a b c.txt'],
    ['invoice\u202efdp.exe', 'invoicefdp.exe'],
    ['семья 👩‍👩‍👧.md', 'семья 👩‍👩‍👧.md'],
    ['..', null],
    ['folder/', null],
    ['', null],
    [undefined, null],
  ])('%j becomes %j', (sent, expected) => expect(cleanFileName(sent)).toBe(expected));

  test('is short, on one line, without a way out of a folder, whatever was sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (sent) => {
        const name = cleanFileName(sent);
        if (name === null) return;
        expect(name.length).toBeLessThanOrEqual(255);
        expect(name).not.toMatch(/[/\\\p{Cc}]/u);
        expect(name.isWellFormed()).toBe(true);
      }),
    );
  });
});

test('first words are those of the first line that says anything, cut at a word', () => {
  expect(firstWords('\n\n## Travel policy\n\nBook early.')).toBe('Travel policy');
  expect(firstWords('---\n***\n')).toBeNull();
  const long = firstWords(`${'word '.repeat(100)}`);
  expect(long).toMatch(/^(word )+word…$/);
  expect(long?.length).toBeLessThanOrEqual(121);
  expect(firstWords('😀'.repeat(200))?.isWellFormed()).toBe(true);
});

test('a document without a title is called after its file, else after its first words', () => {
  expect(provisionalTitle('plan.md', 'Hello')).toBe('plan');
  expect(readTitle('Untitled', null, '# The plan')).toBe('The plan');
  expect(readTitle('Found', null, '# The plan')).toBe('Found');
  expect(readTitle('Untitled', 'untitled.md', 'Hello')).toBe('Untitled');
  expect(provisionalTitle(null, 'Hello there')).toBe('Hello there');
  expect(provisionalTitle(null, ' \n')).toBe('Untitled');
});

test('a title is one line', () => {
  expect(cleanTitle('  A\n  title ')).toBe('A title');
  expect(cleanTitle(' \n ')).toBeNull();
  expect(cleanTitle(undefined)).toBeNull();
});
