import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { htmlPage } from './html-page.ts';
import { htmlToMarkdown } from './html-to-markdown.ts';
import { defaultParseLimits } from './parse-limits.ts';

const markdown = (html: string) => htmlToMarkdown(html, defaultParseLimits).text;

describe('htmlToMarkdown', () => {
  it('keeps headings, paragraphs, lists, quotes and code, and drops emphasis and link targets', () => {
    const html = `<h1>Guide to <em>returns</em></h1><p>One <b>bold</b>
      word and <a href="https://example.com/x">a link</a>.<br>Next line.</p>
      <ul><li>first<li>second<ul><li>inner</li></ul></li></ul><ol><li>one</li><li><p>two</p><p>more</p></li></ol>
      <blockquote><p>said</p></blockquote><pre><code class="language-sh">npm ci
  npm start
</code></pre>`;
    expect(markdown(html)).toBe(
      [
        '# Guide to returns',
        'One bold word and a link.\nNext line.',
        '- first\n- second\n  - inner',
        '1. one\n2. two\n   more',
        '> said',
        '```sh\nnpm ci\n  npm start\n```',
      ].join('\n\n'),
    );
  });

  it('writes tables of data as tables and tables of layout as what they hold', () => {
    const data =
      '<table><tr><th>Plan</th><th>Price|month</th></tr><tr><td>Team</td><td>49</td></tr><tr><td>Free</td></tr></table>';
    expect(markdown(data)).toBe('| Plan | Price\\|month |\n| --- | --- |\n| Team | 49 |\n| Free |  |');
    const layout = '<table><tr><td><h2>News</h2><p>Today.</p></td><td>Aside</td></tr></table>';
    expect(markdown(layout)).toBe('## News\n\nToday.\n\nAside');
  });

  it('leaves out scripts, styles, navigation, forms and what is hidden', () => {
    const html = `<html><head><title> The  title </title><style>p{}</style></head><body><nav>menu</nav>
      <script>document.write("<p>script</p>")</script><p>kept</p><p hidden>hidden</p><div style="display: none">gone</div>
      <select><option>choice</option></select><svg><text>drawn</text></svg><footer>imprint</footer></body></html>`;
    const page = htmlToMarkdown(html, defaultParseLimits);
    expect(page.text).toBe('kept');
    expect(page.title).toBe('The title');
  });

  it('takes the marked main part of a page, with its own footer', () => {
    const html =
      '<header>Shop</header><main><p>A text of some length.</p><footer>By the author</footer></main><div>Ads</div>';
    expect(markdown(html)).toBe('A text of some length.\n\nBy the author');
  });

  it('keeps the whole page when the marked part holds next to nothing of it', () => {
    const html = `<article><p>Teaser</p></article>${'<p>The real text stands outside.</p>'.repeat(5)}`;
    expect(markdown(html)).toContain('Teaser\n\nThe real text stands outside.');
  });

  it('gives a reason for a million nested elements', () => {
    const html = `${'<div>'.repeat(1_000_000)}text${'</div>'.repeat(1_000_000)}`;
    expect(() => markdown(html)).toThrow(expect.objectContaining({ reason: 'too_complex' }));
  });

  it('gives a reason for more text than the limit', () => {
    const limits = { ...defaultParseLimits, textLength: 1000 };
    expect(() => htmlToMarkdown('<p>word</p>'.repeat(300), limits)).toThrow(
      expect.objectContaining({ reason: 'too_large' }),
    );
  });

  it('loses no word of the text, however the tags around it are broken', () => {
    const tags = 'p div ul ol li table tr td th pre blockquote h2 b main article dl dt br'.split(' ');
    const part = fc.oneof(
      fc.constantFrom(...tags.map((tag) => `<${tag}>`), ...tags.map((tag) => `</${tag}>`)),
      fc.stringMatching(/^[a-z]{1,6}$/).map((word) => ` ${word} `),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
        const outside = parts.filter((tag) => !/main|article/.test(tag));
        const words = outside.filter((text) => text.startsWith(' ')).map((text) => text.trim());
        const found = markdown(outside.join('')).match(/[a-z]+/g) ?? [];
        expect([...found].sort()).toEqual(words.sort());
      }),
      { numRuns: 500 },
    );
  });
});

describe('htmlPage', () => {
  const sentence =
    'You may return an item within thirty days of delivery, provided that it is unused, and in its packaging. ';
  const page = `<html><head><title>Returns</title></head><body><div id="menu"><a href="/">Home</a> <a href="/a">All</a></div>
    <div class="content"><h1>How to return</h1>${`<p>${sentence.repeat(3)}</p>`.repeat(4)}</div>
    <div id="footer"><a href="/imprint">Imprint</a></div></body></html>`;

  it('finds the text of a page that marks nothing, and keeps its heading', () => {
    const { text, title } = htmlPage(page, defaultParseLimits);
    expect(title).toBe('Returns');
    expect(text).toMatch(/^# How to return\n\nYou may return/);
    expect(text).not.toMatch(/Home|Imprint/);
  });

  it('keeps a page whole that is no article', () => {
    const html = '<body><div>Opening hours</div><div>Monday to Friday, nine to five</div></body>';
    expect(htmlPage(html, defaultParseLimits).text).toBe('Opening hours\n\nMonday to Friday, nine to five');
  });
});
