import { stripVTControlCharacters } from 'node:util';

/** Our own colours (SGR sequences made of digits) and nothing else that a terminal would obey. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: a colour begins with one.
const ownColour = /\u001b\[[0-9;]*m/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/**
 * Text that is safe to show. Titles, file names and answers come from elsewhere and could move the cursor, rename the
 * window or hide what they say: control characters but tab and line feed are dropped.
 * @param options.keepColours leaves SGR sequences in, for lines that this program put together itself.
 */
export function printable(text: string, options: { keepColours?: boolean } = {}): string {
  if (!options.keepColours) return text.replace(control, '');
  const colours = text.match(ownColour) ?? [];
  return text
    .split(ownColour)
    .map((part, i) => part.replace(control, '') + (colours[i] ?? ''))
    .join('');
}

/**
 * Columns that text takes on a terminal, never too few: everything from Hangul on counts double, because a bar that
 * wraps cannot be redrawn, while one that ends early costs nothing.
 */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of stripVTControlCharacters(text)) {
    columns += (character.codePointAt(0) ?? 0) >= 0x1100 ? 2 : 1;
  }
  return columns;
}

/** @returns the longest beginning of `text` that fits `columns`, ending in an ellipsis when something was left out. */
export function shortened(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  if (columns < 2) return '';
  let kept = '';
  let used = 0;
  for (const character of text) {
    const width = columnsOf(character);
    // The ellipsis is above U+1100 and so counts two.
    if (used + width > columns - 2) break;
    kept += character;
    used += width;
  }
  return `${kept}…`;
}
