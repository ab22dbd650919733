import { getDocumentProxy } from 'unpdf';
import { ParseFailure } from './parse-failure.ts';
import type { ParseLimits } from './parse-limits.ts';
import { layoutPages } from './pdf-layout.ts';
import { linesOf, type PdfLine, type TextRun } from './pdf-lines.ts';

export type PdfText = { text: string; title: string; pages: number; warnings: string[] };

type Pdf = Awaited<ReturnType<typeof getDocumentProxy>>;

const END_MARK_WITHIN_BYTES = 65_536;

/**
 * Reads the text of a PDF. Nothing is rendered, no script runs and nothing is fetched. Pages that cannot be read are
 * left out with a warning; when none can, the file counts as damaged.
 *
 * @throws ParseFailure `encrypted`, `truncated_or_corrupt`, `too_many_pages`, `too_large` or `no_text`.
 */
export async function pdfText(bytes: Uint8Array, limits: ParseLimits): Promise<PdfText> {
  const tail = Buffer.from(bytes.subarray(-END_MARK_WITHIN_BYTES)).toString('latin1');
  if (!tail.includes('%%EOF') && !tail.includes('startxref')) {
    throw new ParseFailure(
      'truncated_or_corrupt',
      'The PDF ends before its end mark, so the upload was probably cut short. Upload it again.',
    );
  }
  // pdf.js takes the buffer it is given away for good, so it gets a copy.
  const pdf = await open(new Uint8Array(bytes));
  try {
    if (pdf.numPages > limits.pdfPages) {
      throw new ParseFailure(
        'too_many_pages',
        `The PDF has ${pdf.numPages} pages; the limit is ${limits.pdfPages}. Split it.`,
      );
    }
    return await readPages(pdf, limits);
  } finally {
    await pdf.destroy();
  }
}

async function open(bytes: Uint8Array): Promise<Pdf> {
  try {
    return await getDocumentProxy(bytes, { verbosity: 0, useSystemFonts: false, disableFontFace: true });
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'PasswordException') {
      throw new ParseFailure(
        'encrypted',
        'The PDF is protected by a password. Remove the password and upload it again.',
        { cause },
      );
    }
    throw damaged(cause);
  }
}

function damaged(cause: unknown): ParseFailure {
  return new ParseFailure(
    'truncated_or_corrupt',
    'The PDF is damaged and cannot be read. Export or upload it again.',
    { cause },
  );
}

async function readPages(pdf: Pdf, limits: ParseLimits): Promise<PdfText> {
  const pages: PdfLine[][] = [];
  const unread: number[] = [];
  let length = 0;
  let lastError: unknown;
  for (let number = 1; number <= pdf.numPages; number += 1) {
    try {
      const lines = linesOf(await runsOf(pdf, number));
      length += lines.reduce((sum, line) => sum + line.text.length, 0);
      pages.push(lines);
    } catch (cause) {
      unread.push(number);
      lastError = cause;
    }
    if (length > limits.textLength) {
      throw new ParseFailure(
        'too_large',
        `The PDF has more than ${limits.textLength} characters of text. Split it.`,
      );
    }
  }
  if (pages.length === 0) throw damaged(lastError);
  const text = layoutPages(pages);
  if (text.trim() === '') throw noText(pdf.numPages, unread, lastError);
  const title = (await titleOf(pdf)) || (/^#{1,2} (.+)/.exec(text)?.[1] ?? '');
  return { text, title, pages: pdf.numPages, warnings: unreadWarning(unread) };
}

async function runsOf(pdf: Pdf, number: number): Promise<TextRun[]> {
  const page = await pdf.getPage(number);
  try {
    const { items } = await page.getTextContent();
    const runs: TextRun[] = [];
    for (const item of items) {
      if (!('str' in item)) continue;
      const [a = 0, b = 0, c = 0, d = 0, x = 0, y = 0] = item.transform as number[];
      const size = Math.hypot(c, d) || Math.hypot(a, b);
      runs.push({ text: item.str, x, y, width: item.width, size, endsLine: item.hasEOL });
    }
    return runs;
  } finally {
    page.cleanup();
  }
}

function noText(pages: number, unread: readonly number[], cause: unknown): ParseFailure {
  if (unread.length > 0) return damaged(cause);
  return new ParseFailure(
    'no_text',
    `The PDF has ${pages === 1 ? 'one page' : `${pages} pages`} and no text, as scans have. Run text recognition (OCR) on it and upload the result.`,
  );
}

const MOST_NAMED = 10;

function unreadWarning(unread: readonly number[]): string[] {
  if (unread.length === 0) return [];
  const named = unread.slice(0, MOST_NAMED).join(', ') + (unread.length > MOST_NAMED ? ', …' : '');
  return [`${unread.length} of the pages could not be read and are missing: ${named}.`];
}

async function titleOf(pdf: Pdf): Promise<string> {
  try {
    const { info } = await pdf.getMetadata();
    const title = (info as Record<string, unknown>).Title;
    return typeof title === 'string' ? title : '';
  } catch {
    return '';
  }
}
