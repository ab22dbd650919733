import { describe, expect, it } from 'vitest';
import { layoutPages } from './pdf-layout.ts';
import { linesOf, type PdfLine, type TextRun } from './pdf-lines.ts';

type Given = { text: string; size?: number; x?: number; gap?: number; right?: number };

/** A page of lines below each other, as wide as the page unless `right` says otherwise. */
function page(given: readonly Given[]): PdfLine[] {
  let y = 750;
  return given.map(({ text, size = 10, x = 72, gap = 12, right = 540 }) => {
    y -= gap;
    return { text, x, right, y, size, tabular: false };
  });
}

const run = (text: string, x: number, y: number, more: Partial<TextRun> = {}): TextRun => {
  return { text, x, y, width: text.length * 5, size: 10, endsLine: false, ...more };
};

describe('linesOf', () => {
  it('puts runs of the same height together and sees the gaps between columns', () => {
    const lines = linesOf([
      run('Hello', 72, 700),
      run(' ', 97, 700),
      run('world', 102, 700),
      run('Next', 72, 688),
      run('column', 300, 688),
    ]);
    expect(lines.map(({ text, tabular }) => ({ text, tabular }))).toEqual([
      { text: 'Hello world', tabular: false },
      { text: 'Next column', tabular: true },
    ]);
  });

  it('shortens the dots of a table of contents', () => {
    expect(linesOf([run('Scope . . . . . . . . . . 12', 72, 700)])[0]?.text).toBe('Scope … 12');
  });
});

describe('layoutPages', () => {
  it('joins the lines of a paragraph and separates paragraphs', () => {
    const text = layoutPages([
      page([
        { text: 'The first line of a paragraph goes on' },
        { text: 'and ends here.', right: 160 },
        { text: 'A new one follows after a gap.', gap: 24 },
      ]),
    ]);
    expect(text).toBe(
      'The first line of a paragraph goes on and ends here.\n\nA new one follows after a gap.',
    );
  });

  it('puts parted words together and keeps the hyphens of compounds it has seen', () => {
    const text = layoutPages([
      page([
        { text: 'A well-known way to handle infor-' },
        { text: 'mation is this. It is also a well-' },
        { text: 'known one, since 2019-' },
        { text: '2020 at least.' },
      ]),
    ]);
    expect(text).toBe(
      'A well-known way to handle information is this. It is also a well-known one, since 2019-2020 at least.',
    );
  });

  it('makes headings of larger lines, the largest first', () => {
    const text = layoutPages([
      page([
        { text: 'Manual', size: 20 },
        { text: 'Safety', size: 14, gap: 30 },
        { text: 'Keep the device away from water, and do not open it.', gap: 20 },
        { text: 'Never leave it on unattended, not even for a short while.' },
      ]),
    ]);
    expect(text).toMatch(/^# Manual\n\n## Safety\n\nKeep the device/);
  });

  it('keeps the items of a list on lines of their own', () => {
    const text = layoutPages([
      page([
        { text: '• one' },
        { text: '• two that is so long that it goes on over' },
        { text: 'the line' },
        { text: '1. first' },
      ]),
    ]);
    expect(text).toBe('- one\n- two that is so long that it goes on over the line\n1. first');
  });

  it('takes out running titles and page numbers, and joins a sentence over the page', () => {
    const starts = [
      'The sentence goes on',
      'over the page. Then another',
      'one does so too. A third',
      'ends it.',
    ];
    const pages = starts.map((text, index) =>
      page([
        { text: `Annual report — page ${index + 1} of 4` },
        { text, gap: 40 },
        { text: `${index + 1}`, gap: 200 },
      ]),
    );
    expect(layoutPages(pages)).toBe(starts.join(' '));
  });

  it('does not take a title for a running line because later pages repeat it small', () => {
    const later = [2, 3, 4, 5].map((number) =>
      page([{ text: 'The Manual' }, { text: `Text of page ${'abcdef'[number]} is here.`, gap: 40 }]),
    );
    expect(
      layoutPages([
        page([
          { text: 'The Manual', size: 20 },
          { text: 'It begins.', gap: 40 },
        ]),
        ...later,
      ]),
    ).toMatch(/^# The Manual\n\nIt begins\./);
  });

  it('takes a page of many runs, and a paragraph of many lines, as easily as a word without an end', () => {
    const runs = Array.from({ length: 100_000 }, (_, index) => run(index % 2 === 0 ? 'a' : ' ', index, 700));
    expect(linesOf(runs)[0]?.text).toHaveLength(99_999);
    const lines = Array.from({ length: 100_000 }, () => ({ text: 'a line that does not end', gap: 0.001 }));
    expect(layoutPages([page(lines)])).toHaveLength(100_000 * 25 - 1);
    expect(layoutPages([page([{ text: 'a'.repeat(3_000_000) }])])).toHaveLength(3_000_000);
  });
});
