import mammoth from 'mammoth';
import { htmlToMarkdown } from './html-to-markdown.ts';
import { ParseFailure } from './parse-failure.ts';
import type { ParseLimits } from './parse-limits.ts';
import type { ZipArchive } from './zip-archive.ts';

export type DocxText = { text: string; title: string };

/**
 * Reads the text of a DOCX as Markdown with its headings, lists and tables.
 *
 * mammoth is given a reader of the archive that has its limits checked while unpacking, instead of the file: it never
 * unpacks anything itself, pictures are not unpacked at all, and nothing outside the archive is opened.
 *
 * @throws ParseFailure `decompression_limit`, `too_complex` or `too_large`; what mammoth throws over a damaged document.
 */
export async function docxText(archive: ZipArchive, limits: ParseLimits): Promise<DocxText> {
  const html = await toHtml(archive);
  const { text, heading } = htmlToMarkdown(html, limits);
  return { text, title: coreTitle(archive) || heading };
}

async function toHtml(archive: ZipArchive): Promise<string> {
  let failure: ParseFailure | undefined;
  const file = {
    exists: (name: string) => archive.has(name),
    read: async (name: string, encoding?: string) => {
      try {
        const content = archive.read(name);
        return encoding === undefined ? content : new TextDecoder(encoding).decode(content);
      } catch (cause) {
        if (cause instanceof ParseFailure) failure = cause;
        throw cause;
      }
    },
  };
  // mammoth's types know only paths and buffers; `file` is what it makes of either (lib/unzip.js).
  const input = { file } as unknown as { buffer: Buffer };
  try {
    const { value } = await mammoth.convertToHtml(input, {
      styleMap: ["p[style-name='Title'] => h1:fresh", "p[style-name='Subtitle'] => p:fresh"],
      convertImage: mammoth.images.imgElement(async () => ({ src: '' })),
      externalFileAccess: false,
    });
    return value;
  } catch (cause) {
    throw failure ?? cause;
  }
}

const LONGEST_PROPERTIES = 65_536;

function coreTitle(archive: ZipArchive): string {
  if (!archive.has('docProps/core.xml')) return '';
  const properties = archive.read('docProps/core.xml').toString('utf8').slice(0, LONGEST_PROPERTIES);
  const title = /<dc:title>([^<]{1,1000})<\/dc:title>/.exec(properties)?.[1] ?? '';
  return title
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&')
    .trim();
}
