import { ParseFailure } from './parse-failure.ts';

/** The kinds of document that are read. */
export type DocumentKind = 'pdf' | 'docx' | 'html' | 'markdown' | 'csv' | 'jsonl' | 'text';

export const contentTypes: Record<DocumentKind, string> = {
  pdf: 'application/pdf',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  html: 'text/html',
  markdown: 'text/markdown',
  csv: 'text/csv',
  jsonl: 'application/jsonl',
  text: 'text/plain',
};

const kindsByExtension: Record<string, DocumentKind> = {
  pdf: 'pdf',
  docx: 'docx',
  html: 'html',
  htm: 'html',
  xhtml: 'html',
  md: 'markdown',
  markdown: 'markdown',
  mdx: 'markdown',
  csv: 'csv',
  tsv: 'csv',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  txt: 'text',
  text: 'text',
  log: 'text',
};

const kindsByDeclaredType: Record<string, DocumentKind> = {
  'application/xhtml+xml': 'html',
  'text/x-markdown': 'markdown',
  'text/tab-separated-values': 'csv',
  'application/x-ndjson': 'jsonl',
  ...Object.fromEntries(Object.entries(contentTypes).map(([kind, type]) => [type, kind as DocumentKind])),
};

/** What the first bytes say: a kind we read, an archive to look into, a format we know and do not read, or nothing. */
type Signature = 'pdf' | 'zip' | 'ole' | { name: string } | undefined;

const knownFormats: ReadonlyArray<readonly [signature: string, name: string]> = [
  ['\x89PNG\r\n\x1a\n', 'a PNG image'],
  ['\xff\xd8\xff', 'a JPEG image'],
  ['GIF8', 'a GIF image'],
  ['BM', 'a bitmap image'],
  ['II*\0', 'a TIFF image'],
  ['MM\0*', 'a TIFF image'],
  ['\x1f\x8b', 'a gzip archive'],
  ['BZh', 'a bzip2 archive'],
  ['\xfd7zXZ\0', 'an xz archive'],
  ['7z\xbc\xaf\x27\x1c', 'a 7-Zip archive'],
  ['Rar!\x1a\x07', 'a RAR archive'],
  ['{\\rtf', 'an RTF document'],
  ['%!PS', 'a PostScript document'],
  ['\x7fELF', 'a program'],
  ['MZ', 'a program'],
  ['SQLite format 3\0', 'an SQLite database'],
  ['OggS', 'an audio file'],
  ['ID3', 'an audio file'],
  ['fLaC', 'an audio file'],
  ['\x1aE\xdf\xa3', 'a video file'],
];

/** Two letters are too little to tell a program or an image from text that begins with them. */
const SHORTEST_TELLING_SIGNATURE = 3;
const PDF_HEADER_WITHIN = 1024;
const HTML_START_WITHIN = 1024;

/** The extension of a file name in lower case, without the dot; '' when there is none. */
function extensionOf(fileName: string): string {
  const base = fileName.slice(Math.max(fileName.lastIndexOf('/'), fileName.lastIndexOf('\\')) + 1);
  const dot = base.lastIndexOf('.');
  return dot <= 0 ? '' : base.slice(dot + 1).toLowerCase();
}

export function signatureOf(bytes: Uint8Array): Signature {
  const head = Buffer.from(
    bytes.buffer,
    bytes.byteOffset,
    Math.min(bytes.length, PDF_HEADER_WITHIN),
  ).toString('latin1');
  if (/^[\s\S]{0,1019}%PDF-\d/.test(head)) return 'pdf';
  if (head.startsWith('PK\x03\x04') || head.startsWith('PK\x05\x06')) return 'zip';
  if (head.startsWith('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1')) return 'ole';
  if (/^RIFF....WEBP/s.test(head)) return { name: 'a WebP image' };
  if (/^....ftyp/s.test(head)) return { name: 'a video or HEIC image' };
  for (const [signature, name] of knownFormats) {
    if (!head.startsWith(signature)) continue;
    if (signature.length >= SHORTEST_TELLING_SIGNATURE || head.slice(0, 256).includes('\0')) return { name };
  }
  return undefined;
}

/** What the name, or failing that the declared type, promises; nothing when neither is known. */
export function promisedKind(fileName: string, declaredType: string | undefined): DocumentKind | undefined {
  const byName = kindsByExtension[extensionOf(fileName)];
  if (byName !== undefined || extensionOf(fileName) !== '') return byName;
  return kindsByDeclaredType[declaredType?.split(';')[0]?.trim().toLowerCase() ?? ''];
}

/**
 * The kind of a file whose content is not a PDF, an archive or any other known format, so that it must be text.
 * @throws ParseFailure `wrong_type` when the name promises a PDF or a DOCX.
 */
export function textKind(head: string, fileName: string, declaredType: string | undefined): DocumentKind {
  const promised = promisedKind(fileName, declaredType);
  if (promised === 'pdf' || promised === 'docx') {
    throw new ParseFailure(
      'wrong_type',
      `The file is named or declared as ${promised.toUpperCase()}, but its content is not a ${promised.toUpperCase()} document. ` +
        'Export it again, or give it the name of what it is.',
    );
  }
  const start = head
    .slice(0, HTML_START_WITHIN)
    .replace(/^\ufeff?\s*(<\?xml[^>]*\?>)?(\s|<!--[\s\S]*?-->)*/, '');
  if (/^<(!doctype\s+html|html|head|body)\b/i.test(start)) return 'html';
  return promised ?? 'text';
}

/** The failure for content of a format that we recognise and do not read. */
export function unreadFormat(name: string, fileName: string, declaredType: string | undefined): ParseFailure {
  const promised = promisedKind(fileName, declaredType);
  if (promised !== undefined) {
    return new ParseFailure(
      'wrong_type',
      `The name or declared type says ${promised}, but the content is ${name}. Upload the document itself.`,
    );
  }
  return new ParseFailure(
    'unsupported_type',
    `The file is ${name}, which is not read. Upload it as PDF, DOCX, HTML, Markdown, CSV, JSONL or plain text.`,
  );
}
