import { documentTitle } from './parsing/document-title.ts';

/** Characters of a title that nobody gave. */
const derivedLength = 120;
/** Most file systems allow no longer name. */
const fileNameLength = 255;

/** The title of a document before it is read, or when it says none itself: the file's name, else the first words. */
export function provisionalTitle(fileName: string | null, beginning: string): string {
  return fileName === null ? (firstWords(beginning) ?? 'Untitled') : documentTitle('', fileName);
}

/** The title of a document that was read: its own, as far as the parser found one. */
export function readTitle(found: string | null | undefined, fileName: string | null, text: string): string {
  // What was pasted has no name, and then the parser has nothing to call it by.
  const named = fileName !== null || found !== 'Untitled';
  return (named ? cleanTitle(found) : null) ?? provisionalTitle(fileName, text);
}

/** The first line that says anything, without markup of headings, cut at a word; null when there is none. */
export function firstWords(beginning: string): string | null {
  for (const line of beginning.slice(0, 10_000).split('\n')) {
    const words = oneLine(line.replace(/^[\s#>*=-]+/, ''));
    if (words === '') continue;
    if (words.length <= derivedLength) return words;
    const cut = words.slice(0, derivedLength);
    const space = cut.lastIndexOf(' ');
    return `${(space > derivedLength / 2 ? cut.slice(0, space) : cut).toWellFormed().replace('\ufffd', '')}…`;
  }
  return null;
}

/** A title as a file tells it, made fit to store and show; null when nothing is left. */
export function cleanTitle(title: string | null | undefined): string | null {
  const clean = oneLine(title ?? '').slice(0, 500);
  return clean === '' ? null : clean.toWellFormed();
}

/**
 * A file's name as a client sent it: the last part of a path, on one line, without characters that cannot be seen.
 * Never used as a path. Null when nothing is left.
 */
export function cleanFileName(sent: string | undefined): string | null {
  const base = (sent ?? '').split(/[/\\]/).at(-1) ?? '';
  const clean = oneLine(base).slice(-fileNameLength).toWellFormed();
  return /^\.*$/.test(clean) ? null : clean;
}

function oneLine(text: string): string {
  return (
    text
      .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
      // Overrides of the direction of writing show "report.exe" as "reportexe."; other joiners belong to scripts and emoji.
      .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '')
      .replace(/ {2,}/g, ' ')
      .trim()
  );
}
