import { cleanText } from './clean-text.ts';

const LONGEST_TITLE = 300;
const SEARCHED = 20_000;

/** Titles that programs fill in when the author gave none. */
const meaningless = /^(untitled|unbenannt|document\d*|microsoft word - .*|.*\.(docx?|pdf|dvi|tex|indd))$/i;

/** The title found in a document when it says something, otherwise the file's name without folders and extension. */
export function documentTitle(found: string, fileName: string): string {
  const title = oneLine(found);
  if (title !== '' && !meaningless.test(title)) return title;
  const base = fileName.split(/[/\\]/).at(-1) ?? '';
  return oneLine(base.replace(/\.[^.]{1,10}$/, '')) || 'Untitled';
}

/** The `title` of a Markdown file's front matter, or else its first heading; '' when it has neither. */
export function markdownTitle(text: string): string {
  const head = text.slice(0, SEARCHED);
  const frontMatter = /^---\r?\n([\s\S]*?)\r?\n---/.exec(head)?.[1] ?? '';
  const named = /^title:[ \t]*(.+)$/m
    .exec(frontMatter)?.[1]
    ?.trim()
    .replace(/^(["'])(.*)\1$/, '$2');
  if (named !== undefined && named !== '') return named;
  const heading = /^ {0,3}#{1,2}[ \t]+(.+)$/m.exec(head)?.[1] ?? /^(.+)\r?\n=+[ \t]*$/m.exec(head)?.[1] ?? '';
  return heading.replace(/\s#+\s*$/, '').replace(/[*_`]{1,3}/g, '');
}

function oneLine(text: string): string {
  const line = cleanText(text).replace(/\s+/g, ' ').trim();
  return line.length <= LONGEST_TITLE ? line : `${line.slice(0, LONGEST_TITLE - 1).toWellFormed()}…`;
}
