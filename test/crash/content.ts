import { createHash } from 'node:crypto';
import { docxParagraph, makeDocx } from '../files/make-docx.ts';
import { makePdf, paragraph as pdfLines } from '../files/make-pdf.ts';
import { createDraws, type Draws } from './random.ts';

/** How a document is sent: `text` and `markdown` in a JSON body, the others as files. */
export const forms = ['text', 'markdown', 'txt', 'md', 'html', 'docx', 'pdf'] as const;
export type Form = (typeof forms)[number];
export type Size = 'small' | 'medium' | 'large';

/** What one version of a document holds. Made anew from these whenever it is needed, so that thousands cost no memory. */
export interface ContentKey {
  readonly seed: number;
  /** Unique in a run. */
  readonly number: number;
  readonly form: Form;
  readonly size: Size;
  /** The heading inside; a title of its own for whoever reads the file. */
  readonly heading: string;
}

export interface Content {
  /** A word that stands in no other content. */
  readonly marker: string;
  /** What Gatehouse should store. */
  readonly text: string;
  /** What is sent: the text for a JSON body, or the file. */
  readonly bytes: Buffer;
  readonly fileName: string | null;
  readonly mediaType: string;
  /** Of what is sent, in hexadecimal. */
  readonly sha256: string;
}

const vocabulary = (
  'anchor beacon canvas captain cargo channel compass current deck draught engine fathom ferry flag fog gale galley ' +
  'harbour hatch horizon hull keel ladder lamp lantern ledger lighthouse mast mooring oar pilot pier port quay rope ' +
  'rudder sail signal slipway sounding star steam stern storm swell tide timber tow vessel voyage watch wave winch'
).split(' ');

const paragraphs: Readonly<Record<Size, readonly [number, number]>> = {
  small: [1, 3],
  medium: [15, 30],
  // Past the 65,536 characters after which stored text is kept in a further part.
  large: [350, 420],
};

export function makeContent(key: ContentKey): Content {
  const draws = createDraws(key.seed * 7_919 + key.number);
  const marker = markerOf(key);
  const written = writeParagraphs(draws, draws.integer(...paragraphs[key.size]), marker);
  const { text, bytes } = inForm(key, written);
  const fileName =
    key.form === 'text' || key.form === 'markdown' ? null : `${key.heading}.${extensions[key.form]}`;
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { marker, text, bytes, fileName, mediaType: mediaTypes[key.form], sha256 };
}

const consonants = 'bcdfghjklmnpqrtv';

/** Consonants only: a word that no stemmer shortens and no language has. The seed is in it, so runs differ too. */
export function markerOf({ seed, number }: Pick<ContentKey, 'seed' | 'number'>): string {
  const digits = `${(seed % 4_096).toString(16).padStart(3, '0')}${number.toString(16).padStart(6, '0')}`;
  return `x${[...digits].map((digit) => consonants[Number.parseInt(digit, 16)]).join('')}`;
}

function writeParagraphs(draws: Draws, count: number, marker: string): string[] {
  const markedAt = draws.integer(0, count - 1);
  return Array.from({ length: count }, (_, at) => {
    const sentences = Array.from({ length: draws.integer(2, 5) }, () => sentence(draws));
    if (at === markedAt) sentences.splice(1, 0, `The signal word is ${marker}.`);
    return sentences.join(' ');
  });
}

function sentence(draws: Draws): string {
  const words = Array.from({ length: draws.integer(6, 14) }, () => draws.pick(vocabulary)).join(' ');
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

function inForm({ form, heading }: ContentKey, written: readonly string[]): { text: string; bytes: Buffer } {
  const underHeading = `# ${heading}\n\n${written.join('\n\n')}`;
  switch (form) {
    case 'text':
    case 'txt': {
      const text = `${heading}\n\n${written.join('\n\n')}\n`;
      return { text, bytes: Buffer.from(text) };
    }
    case 'markdown':
    case 'md': {
      const text = `${underHeading}\n`;
      return { text, bytes: Buffer.from(text) };
    }
    case 'html': {
      const body = written.map((one) => `<p>${one}</p>`).join('\n');
      const page = `<!doctype html>\n<html><head><meta charset="utf-8"><title>${heading}</title></head><body><h1>${heading}</h1>\n${body}</body></html>\n`;
      return { text: underHeading, bytes: Buffer.from(page) };
    }
    case 'docx': {
      const body = docxParagraph(heading, 'Heading1') + written.map((one) => docxParagraph(one)).join('');
      return { text: underHeading, bytes: makeDocx(body) };
    }
    case 'pdf': {
      const lines = written.flatMap((one) => linesOf(one, 80));
      const pages = Array.from({ length: Math.ceil(lines.length / 48) }, (_, page) =>
        pdfLines(lines.slice(page * 48, page * 48 + 48)),
      );
      return { text: lines.join(' '), bytes: makePdf(pages, { title: heading }) };
    }
  }
}

function linesOf(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length >= width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return line === '' ? lines : [...lines, line];
}

/** Whether the stored text is what was sent. Where lines and paragraphs of a page end is for its reader to judge. */
export function isStoredAsSent(key: ContentKey, content: Content, stored: string): boolean {
  if (key.form !== 'pdf') return stored === content.text;
  const words = (text: string) =>
    text
      .split(/\s+/)
      .filter((word) => word !== '')
      .join(' ');
  return words(stored) === words(content.text);
}

const extensions: Readonly<Record<Form, string>> = {
  text: 'txt',
  markdown: 'md',
  txt: 'txt',
  md: 'md',
  html: 'html',
  docx: 'docx',
  pdf: 'pdf',
};

const mediaTypes: Readonly<Record<Form, string>> = {
  text: 'text/plain',
  markdown: 'text/markdown',
  txt: 'text/plain',
  md: 'text/markdown',
  html: 'text/html',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  pdf: 'application/pdf',
};
