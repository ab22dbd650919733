import { Parser } from 'htmlparser2';
import { createMarkdownWriter, type MarkdownWriter } from './markdown-writer.ts';
import { ParseFailure } from './parse-failure.ts';
import type { ParseLimits } from './parse-limits.ts';

export type ConvertedHtml = {
  /** Markdown: headings, lists, tables, quotes and code keep their marks; emphasis and link targets are dropped. */
  text: string;
  /** From `<title>`; '' when there is none. */
  title: string;
  /** From the first `<h1>`; '' when there is none. */
  heading: string;
  /** How deep elements were nested. */
  depth: number;
  elements: number;
  /** The page marks its own main part with `<main>` or `<article>`, and `text` is that part alone. */
  markedMain: boolean;
};

type Limits = Pick<ParseLimits, 'nesting' | 'textLength'>;

/** Never text for a reader, wherever they stand. */
const skipped = new Set(
  'script style noscript template svg math canvas iframe object embed audio video select option button input textarea datalist nav dialog'.split(
    ' ',
  ),
);
/** Text around the page rather than of it, unless it stands inside the main part. */
const skippedOutsideMain = new Set(['aside', 'footer']);
const skippedRoles = new Set(['navigation', 'search', 'menu', 'menubar', 'dialog', 'banner', 'contentinfo']);
const mainElements = new Set(['main', 'article']);

/** The main part must hold this share of the page's text to stand for the page. */
const MAIN_SHARE = 0.3;

/**
 * Converts an HTML page to Markdown in one pass, without building a tree of it: a page's markup weighs many times its
 * text, and trees of hostile pages weigh more than that. Nothing is fetched: links, images and frames are only read.
 *
 * @throws ParseFailure `too_complex` beyond `limits.nesting`, `too_large` beyond `limits.textLength`.
 */
export function htmlToMarkdown(html: string, limits: Limits): ConvertedHtml {
  const writer = createMarkdownWriter(limits.textLength);
  const page = { depth: 0, deepest: 0, elements: 0, skipFrom: 0, mainFrom: 0, inTitle: false, title: '' };

  const parser = new Parser({
    onopentag(name, attributes) {
      page.depth += 1;
      page.elements += 1;
      page.deepest = Math.max(page.deepest, page.depth);
      if (page.depth > limits.nesting) throw tooDeep(limits.nesting);
      if (page.skipFrom > 0) return;
      if (isSkipped(name, attributes, page.mainFrom > 0)) {
        page.skipFrom = page.depth;
        return;
      }
      if (name === 'title') page.inTitle = true;
      if (
        page.mainFrom === 0 &&
        (mainElements.has(name) || attributes.role === 'main') &&
        writer.beginMain()
      ) {
        page.mainFrom = page.depth;
      }
      writer.open(name, attributes);
    },
    ontext(data) {
      if (page.skipFrom > 0) return;
      if (page.inTitle) page.title += data.slice(0, 1000);
      else writer.text(data);
    },
    onclosetag(name) {
      if (page.skipFrom === 0) {
        writer.close(name);
        if (name === 'title') page.inTitle = false;
        if (page.mainFrom === page.depth) {
          writer.endMain();
          page.mainFrom = 0;
        }
      } else if (page.skipFrom === page.depth) page.skipFrom = 0;
      page.depth -= 1;
    },
  });
  parser.write(html);
  parser.end();
  return result(writer, page);
}

function result(
  writer: MarkdownWriter,
  page: { title: string; deepest: number; elements: number },
): ConvertedHtml {
  const { all, main, heading } = writer.finish();
  const markedMain = main.length > 0 && main.length >= all.length * MAIN_SHARE;
  return {
    text: markedMain ? main : all,
    title: page.title.replace(/\s+/g, ' ').trim(),
    heading,
    depth: page.deepest,
    elements: page.elements,
    markedMain,
  };
}

function isSkipped(name: string, attributes: Record<string, string>, insideMain: boolean): boolean {
  if (skipped.has(name)) return true;
  if (!insideMain && skippedOutsideMain.has(name)) return true;
  if (attributes.hidden !== undefined || attributes['aria-hidden'] === 'true') return true;
  if (/display\s*:\s*none/i.test(attributes.style ?? '')) return true;
  const role = attributes.role;
  return role !== undefined && skippedRoles.has(role) && !(insideMain && role === 'banner');
}

function tooDeep(limit: number): ParseFailure {
  return new ParseFailure(
    'too_complex',
    `The page nests elements more than ${limit} deep. Save it as plain text or Markdown and upload that.`,
  );
}
