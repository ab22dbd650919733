import { type PdfLine, withoutRunningLines } from './pdf-lines.ts';

/** How much larger than the body text a heading is set. */
const HEADING_SIZE = 1.15;
const LONGEST_HEADING = 150;
const DEEPEST_HEADING = 4;
/** A gap between lines this many times the usual one begins a new paragraph. */
const PARAGRAPH_GAP = 1.3;
const LARGEST_LEADING = 2;
const bullet = /^[•▪◦‣●○■□–\uf0b7\u00b7*-]\s+/;
const enumerator = /^(?:\(?\d{1,3}[.)]|\(?[a-z][.)]|\([ivx]{1,4}\))\s+/;
const terminator = /[.!?:;。！？…]["'”’»)\]]{0,3}$/;
const LONGEST_WORD = 60;
const SOFT_HYPHEN = '\u00ad';
const wideScript = /[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]/;

/** `parts` are joined only at the end: adding to a long text again and again would copy it every time. */
type Block = { kind: 'heading' | 'item' | 'row' | 'paragraph'; level: number; parts: string[] };

/**
 * Turns the lines of a document's pages into Markdown: what is set larger than the body becomes headings, lines of a
 * paragraph are joined, words parted at a line's end are put together again, list items and rows keep their lines.
 */
export function layoutPages(pages: readonly PdfLine[][]): string {
  const kept = withoutRunningLines(pages);
  const lines = kept.flat();
  const body = bodySize(lines);
  const levels = headingLevels(lines, body);
  const leading = usualLeading(kept);
  const isCompound = compoundsOf(lines);
  const blocks: Block[] = [];
  let previous: PdfLine | undefined;
  let rightEdge = 0;

  for (const pageLines of kept) {
    rightEdge = pageLines.reduce((edge, line) => Math.max(edge, line.right), 0);
    for (const [index, line] of pageLines.entries()) {
      const block = blockOf(line, levels);
      const last = blocks.at(-1);
      const joins =
        last !== undefined &&
        previous !== undefined &&
        goesOn(last, previous, block, line, { leading, rightEdge, newPage: index === 0 });
      if (joins) append(last.parts, line.text, isCompound);
      else blocks.push(block);
      previous = line;
    }
  }
  return render(blocks);
}

function blockOf(line: PdfLine, levels: ReadonlyMap<number, number>): Block {
  const level =
    line.text.length <= LONGEST_HEADING && /\p{L}/u.test(line.text)
      ? (levels.get(rounded(line.size)) ?? 0)
      : 0;
  if (level > 0) return { kind: 'heading', level, parts: [line.text] };
  if (bullet.test(line.text)) return { kind: 'item', level: 0, parts: [line.text.replace(bullet, '- ')] };
  if (enumerator.test(line.text)) return { kind: 'item', level: 0, parts: [line.text] };
  return { kind: line.tabular ? 'row' : 'paragraph', level: 0, parts: [line.text] };
}

type Page = { leading: number; rightEdge: number; newPage: boolean };

/** Whether `line` continues the block that `previous` was the last line of. */
function goesOn(last: Block, previous: PdfLine, block: Block, line: PdfLine, page: Page): boolean {
  if (block.kind === 'item' || block.kind === 'row' || last.kind === 'row') return false;
  if (block.kind === 'heading' || last.kind === 'heading') {
    return (
      block.kind === last.kind &&
      block.level === last.level &&
      !page.newPage &&
      close(previous, line, page.leading)
    );
  }
  const finished = terminator.test(previous.text);
  if (page.newPage || line.y > previous.y) return !finished && /^[\p{Ll}\p{N}(]/u.test(line.text);
  if (!close(previous, line, page.leading) || Math.abs(line.size - previous.size) > previous.size * 0.12)
    return false;
  const width = page.rightEdge - previous.x;
  if (!finished) return previous.right > page.rightEdge - width * 0.4 || /^\p{Ll}/u.test(line.text);
  const indented = line.x > previous.x + line.size * 0.8 && last.kind === 'paragraph';
  const endedShort = previous.right < page.rightEdge - width * 0.15;
  return !indented && !endedShort;
}

function close(previous: PdfLine, line: PdfLine, leading: number): boolean {
  return previous.y - line.y <= line.size * leading * PARAGRAPH_GAP;
}

function render(blocks: readonly Block[]): string {
  const parts: string[] = [];
  for (const [index, block] of blocks.entries()) {
    const previous = blocks[index - 1];
    const tight =
      previous !== undefined &&
      previous.kind === block.kind &&
      (block.kind === 'item' || block.kind === 'row');
    if (previous !== undefined) parts.push(tight ? '\n' : '\n\n');
    if (block.kind === 'heading') parts.push(`${'#'.repeat(block.level)} `);
    for (const part of block.parts) parts.push(part);
  }
  return parts.join('').normalize('NFC');
}

function rounded(size: number): number {
  return Math.round(size * 2) / 2;
}

/** The size most letters are set in. */
function bodySize(lines: readonly PdfLine[]): number {
  const letters = new Map<number, number>();
  for (const line of lines)
    letters.set(rounded(line.size), (letters.get(rounded(line.size)) ?? 0) + line.text.length);
  return [...letters].reduce((most, entry) => (entry[1] > most[1] ? entry : most), [0, 0])[0];
}

/** Levels by size: the largest that is used on few lines is 1. */
function headingLevels(lines: readonly PdfLine[], body: number): Map<number, number> {
  const sizes = new Set(
    lines.map((line) => rounded(line.size)).filter((size) => size >= body * HEADING_SIZE),
  );
  const ordered = [...sizes].sort((one, other) => other - one);
  return new Map(ordered.map((size, index) => [size, Math.min(index + 1, DEEPEST_HEADING)]));
}

/** The usual distance between lines of a paragraph, in letter sizes. */
function usualLeading(pages: readonly PdfLine[][]): number {
  const counts = new Map<number, number>();
  for (const lines of pages) {
    for (const [index, line] of lines.entries()) {
      const previous = lines[index - 1];
      if (previous === undefined || line.size === 0) continue;
      const leading = Math.round(((previous.y - line.y) / line.size) * 20) / 20;
      if (leading > 0.8 && leading <= LARGEST_LEADING) counts.set(leading, (counts.get(leading) ?? 0) + 1);
    }
  }
  return [...counts].reduce((most, entry) => (entry[1] > most[1] ? entry : most), [1.2, 0])[0];
}

/**
 * Adds a line to a paragraph. A hyphen at the end of the line before may part one word or belong to a compound; the
 * document's other words decide, and where they are silent the hyphen goes, as it does in most languages that part words.
 */
function append(parts: string[], next: string, isCompound: (word: string) => boolean): void {
  const before = parts.pop() ?? '';
  const end = before.slice(-LONGEST_WORD);
  const start = /(\p{L}+)-$/u.exec(end)?.[1];
  const rest = /^\p{Ll}\p{L}{0,39}/u.exec(next)?.[0];
  const parted = start !== undefined && rest !== undefined && !isCompound(`${start}-${rest}`);
  if (parted || end.endsWith(SOFT_HYPHEN)) {
    parts.push(before.slice(0, -1), next);
    return;
  }
  const joined =
    /[\p{L}\p{N}]-$/u.test(end) || (wideScript.test(end.slice(-1)) && wideScript.test(next.slice(0, 1)));
  parts.push(before, joined ? next : ` ${next}`);
}

/** Tells whether the document writes a word with a hyphen within a line. */
function compoundsOf(lines: readonly PdfLine[]): (word: string) => boolean {
  const compounds = new Set<string>();
  for (const { text } of lines) {
    for (const [compound] of text.matchAll(/(?<!\p{L})\p{L}{1,40}-\p{L}{1,40}/gu))
      compounds.add(compound.toLowerCase());
  }
  return (word) => compounds.has(word.toLowerCase());
}
