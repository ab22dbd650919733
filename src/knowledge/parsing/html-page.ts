import { Readability } from '@mozilla/readability';
import { parseHTML } from 'linkedom';
import { type ConvertedHtml, htmlToMarkdown } from './html-to-markdown.ts';
import type { ParseLimits } from './parse-limits.ts';

/**
 * Readability and the tree it needs are superlinear in depth and cost many times the page's size in memory, so
 * only pages of ordinary size are given to it.
 */
const LONGEST_FOR_READABILITY = 1_000_000;
const DEEPEST_FOR_READABILITY = 60;
const MOST_ELEMENTS_FOR_READABILITY = 10_000;
/** Readability looks for the one article of a page. Where it keeps less than this it has probably lost some. */
const ARTICLE_SHARE = 0.6;

/**
 * Reads an HTML page as Markdown, without what stands around its text. A page that marks its main part is taken at its
 * word; for others Readability is asked, and believed when it keeps most of the text.
 */
export function htmlPage(html: string, limits: ParseLimits): { text: string; title: string } {
  const page = htmlToMarkdown(html, limits);
  const article = page.markedMain ? undefined : articleOf(html, page, limits);
  return { text: article ?? page.text, title: page.title || page.heading };
}

function articleOf(html: string, page: ConvertedHtml, limits: ParseLimits): string | undefined {
  const ordinary =
    html.length <= LONGEST_FOR_READABILITY &&
    page.depth <= DEEPEST_FOR_READABILITY &&
    page.elements <= MOST_ELEMENTS_FOR_READABILITY;
  if (!ordinary) return undefined;
  const found = readArticle(html);
  if (found === undefined) return undefined;
  const { text } = htmlToMarkdown(found, limits);
  if (text.length < page.text.length * ARTICLE_SHARE) return undefined;
  return withHeading(text, page.heading);
}

/** Readability demotes the page's main heading, or takes it for the title and leaves it out. */
function withHeading(text: string, heading: string): string {
  if (heading === '') return text;
  if (text.startsWith(`## ${heading}\n`)) return text.slice(1);
  return text.includes(`# ${heading}\n`) ? text : `# ${heading}\n\n${text}`;
}

function readArticle(html: string): string | undefined {
  try {
    const { document } = parseHTML(html);
    return new Readability(document, { keepClasses: true }).parse()?.content ?? undefined;
  } catch {
    // A page it cannot handle is still a page: it is kept whole.
    return undefined;
  }
}
