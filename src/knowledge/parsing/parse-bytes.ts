import { cleanText } from './clean-text.ts';
import { decodeText } from './decode-text.ts';
import {
  contentTypes,
  type DocumentKind,
  promisedKind,
  signatureOf,
  textKind,
  unreadFormat,
} from './detect-type.ts';
import { documentTitle, markdownTitle } from './document-title.ts';
import { ParseFailure } from './parse-failure.ts';
import type { ParseLimits } from './parse-limits.ts';
import { openZip, type ZipArchive } from './zip-archive.ts';

export type ParsedDocument = {
  /** The text to store, as `cleanText` leaves it. All offsets refer to it. */
  text: string;
  /** From the document itself, or else the file's name. At most 300 characters, one line. */
  title: string;
  /** The type that the content turned out to be. */
  contentType: string;
  /** Pages of a PDF. */
  pages?: number;
  /** What the owner should know about a document that was read all the same. */
  warnings: string[];
};

export type FileDescription = { fileName: string; contentType?: string };

type Reading = { kind: DocumentKind; text: string; title: string; pages?: number; warnings: string[] };

/**
 * Reads one file that is wholly in memory. Content decides what it is, then its name, then its declared type.
 * Libraries are loaded when first needed: a process that reads text never loads the PDF reader.
 *
 * @throws ParseFailure for every file that cannot be read.
 */
export async function parseBytes(
  bytes: Uint8Array,
  file: FileDescription,
  limits: ParseLimits,
): Promise<ParsedDocument> {
  const reading = await read(bytes, file, limits).catch((error: unknown) => {
    throw asFailure(error);
  });
  const text = cleanText(reading.text);
  if (text.length > limits.textLength) throw tooLong(limits);
  if (text.trim() === '') throw new ParseFailure('empty', 'The file has no text in it.');
  return {
    text,
    title: documentTitle(reading.title, file.fileName),
    contentType: contentTypes[reading.kind],
    ...(reading.pages === undefined ? {} : { pages: reading.pages }),
    warnings: reading.warnings,
  };
}

/** What a library throws over a file is the file's fault until shown otherwise. */
function asFailure(error: unknown): ParseFailure {
  if (error instanceof ParseFailure) return error;
  if (error instanceof RangeError && /call stack/i.test(error.message)) {
    const message =
      'The document nests its parts too deeply. Export it as PDF or plain text and upload that.';
    return new ParseFailure('too_complex', message, { cause: error });
  }
  const message = 'The file is damaged and cannot be read. Export it again, or in another format.';
  return new ParseFailure('truncated_or_corrupt', message, { cause: error });
}

async function read(bytes: Uint8Array, file: FileDescription, limits: ParseLimits): Promise<Reading> {
  if (bytes.length === 0) throw new ParseFailure('empty', 'The file is empty.');
  const signature = signatureOf(bytes);
  if (signature === 'pdf') return readPdf(bytes, file, limits);
  if (signature === 'zip') return readArchive(openZip(bytes, limits), file, limits);
  if (signature === 'ole') throw oldOffice(bytes, file);
  if (signature !== undefined) throw unreadFormat(signature.name, file.fileName, file.contentType);
  return readText(bytes, file, limits);
}

async function readPdf(bytes: Uint8Array, file: FileDescription, limits: ParseLimits): Promise<Reading> {
  if (promisedKind(file.fileName, file.contentType) === 'docx')
    throw unreadFormat('a PDF', file.fileName, file.contentType);
  const { pdfText } = await import('./pdf-text.ts');
  const reading = await pdfText(bytes, limits);
  return { kind: 'pdf', ...reading, warnings: [...misnamed('a PDF', 'pdf', file), ...reading.warnings] };
}

async function readArchive(
  archive: ZipArchive,
  file: FileDescription,
  limits: ParseLimits,
): Promise<Reading> {
  const name = archiveName(archive);
  if (name !== 'docx') throw unreadFormat(name, file.fileName, file.contentType);
  if (promisedKind(file.fileName, file.contentType) === 'pdf') {
    throw unreadFormat('a DOCX', file.fileName, file.contentType);
  }
  const { docxText } = await import('./docx-text.ts');
  return { kind: 'docx', ...(await docxText(archive, limits)), warnings: misnamed('a DOCX', 'docx', file) };
}

/** Something named like text that turns out to be a document is read as what it is, and its owner told. */
function misnamed(is: string, kind: DocumentKind, file: FileDescription): string[] {
  const promised = promisedKind(file.fileName, file.contentType);
  return promised === undefined || promised === kind
    ? []
    : [`The name or declared type says ${promised}, but the file is ${is} and was read as one.`];
}

function archiveName(archive: ZipArchive): string {
  if (archive.names.some((name) => /^word\/document\d*\.xml$/.test(name))) return 'docx';
  if (archive.names.some((name) => name.startsWith('xl/'))) return 'an Excel workbook';
  if (archive.names.some((name) => name.startsWith('ppt/'))) return 'a PowerPoint presentation';
  if (archive.has('content.xml') && archive.has('mimetype')) return 'an OpenDocument file';
  if (archive.has('META-INF/container.xml')) return 'an EPUB book';
  return 'a ZIP archive';
}

/** The container of Office files before 2007, and of newer ones with a password. */
function oldOffice(bytes: Uint8Array, file: FileDescription): ParseFailure {
  const encrypted = Buffer.from('EncryptedPackage', 'utf16le');
  if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(encrypted)) {
    return new ParseFailure(
      'encrypted',
      'The document is protected by a password. Remove the password and upload it again.',
    );
  }
  return unreadFormat('an Office document of the format before 2007', file.fileName, file.contentType);
}

const HEAD = 4096;

async function readText(bytes: Uint8Array, file: FileDescription, limits: ParseLimits): Promise<Reading> {
  // A code unit takes at most three bytes of UTF-8 and at least two of UTF-16: beyond this no decoding is needed to know.
  if (bytes.length > limits.textLength * 3) throw tooLong(limits);
  const text = decodeText(bytes, file.contentType);
  const kind = textKind(text.slice(0, HEAD), file.fileName, file.contentType);
  if (kind === 'html') {
    const { htmlPage } = await import('./html-page.ts');
    return { kind, ...htmlPage(text, limits), warnings: [] };
  }
  return { kind, text, title: kind === 'markdown' ? markdownTitle(text) : '', warnings: [] };
}

function tooLong(limits: ParseLimits): ParseFailure {
  return new ParseFailure(
    'too_large',
    `The document has more than ${limits.textLength} characters of text. Split it into smaller files.`,
  );
}
