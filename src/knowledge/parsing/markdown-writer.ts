import { ParseFailure } from './parse-failure.ts';

/** Turns the opening, text and closing of HTML elements into Markdown blocks. */
export type MarkdownWriter = {
  open(name: string, attributes: Record<string, string>): void;
  text(data: string): void;
  close(name: string): void;
  /** What follows is the page's main part, until `endMain`. False where that cannot be told apart. */
  beginMain(): boolean;
  endMain(): void;
  finish(): { all: string; main: string; heading: string };
};

/** `follows` says that the block belongs to the same list as the one before it: no blank line between them. */
type Block = { text: string; follows: boolean };

/** Where finished blocks go: the page, or one list item, quotation or table cell of it. */
type Sink = {
  kind: 'page' | 'item' | 'quote' | 'cell';
  blocks: Block[];
  /** Text of the block being written, in parts: reading the end of a growing string would copy it every time. */
  parts: string[];
  lastCharacter: string;
};
type List = { ordered: boolean; items: number; depth: number };
type Table = { rows: string[][]; plain: boolean };

const blockElements = new Set(
  (
    'address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form header ' +
    'hgroup hr html legend li main ol p pre section summary table tbody td tfoot th thead tr ul caption'
  ).split(' '),
);
/** Deeper lists and quotations keep their text but are not set in further: every level writes the text once more. */
const DEEPEST_INDENT = 6;
/** Wider or mostly empty tables are written cell by cell: padding every row could multiply the text without bound. */
const WIDEST_TABLE = 100;
const SPARSEST_TABLE = 10;
const LONGEST_CELL = 1000;
const languagePattern = /\b(?:language|lang|highlight-source)-([\w+#-]{1,20})/;

/** @param longest UTF-16 code units that may be written before `too_large` is thrown. */
export function createMarkdownWriter(longest: number): MarkdownWriter {
  const page: Sink = { kind: 'page', blocks: [], parts: [], lastCharacter: '' };
  const sinks: Sink[] = [page];
  const lists: List[] = [];
  const tables: Table[] = [];
  const main: Block[] = [];
  let mainFrom: number | undefined;
  let written = 0;
  let heading = '';
  let preDepth = 0;
  let fence = '';

  const top = (): Sink => sinks[sinks.length - 1] ?? page;

  function add(text: string, follows = false): void {
    top().blocks.push({ text, follows });
  }

  function flush(prefix = ''): string {
    const sink = top();
    const line = take(sink)
      .replace(/ ?\n ?/g, '\n')
      .trim();
    if (line !== '') add(prefix + (prefix.startsWith('#') ? line.replace(/\s+/g, ' ') : line));
    return line;
  }

  function count(length: number): void {
    written += length;
    if (written <= longest) return;
    throw new ParseFailure(
      'too_large',
      `The document has more than ${longest} characters of text. Split it.`,
    );
  }

  function text(data: string): void {
    count(data.length);
    if (preDepth > 0) {
      append(data);
      return;
    }
    const collapsed = data.replace(/[ \t\r\n\f]+/g, ' ');
    const last = top().lastCharacter;
    const afterSpace = last === '' || last === ' ' || last === '\n';
    append(afterSpace && collapsed.startsWith(' ') ? collapsed.slice(1) : collapsed);
  }

  function append(part: string): void {
    if (part === '') return;
    const sink = top();
    sink.parts.push(part);
    sink.lastCharacter = part.charAt(part.length - 1);
  }

  function push(kind: Sink['kind']): void {
    flush();
    sinks.push({ kind, blocks: [], parts: [], lastCharacter: '' });
  }

  /** Closes sinks down to the innermost of `kind`, so that a missing closing tag loses no text. */
  function pop(kind: Sink['kind']): Sink | undefined {
    if (!sinks.some((sink) => sink.kind === kind)) return undefined;
    for (;;) {
      flush();
      const sink = sinks.length > 1 ? sinks.pop() : undefined;
      if (sink === undefined || sink.kind === kind) return sink;
      for (const block of sink.blocks) top().blocks.push(block);
    }
  }

  function openPre(attributes: Record<string, string>): void {
    flush();
    preDepth += 1;
    if (preDepth === 1) fence = languagePattern.exec(attributes.class ?? '')?.[1] ?? '';
  }

  function closePre(): void {
    if (preDepth === 0) return;
    preDepth -= 1;
    if (preDepth > 0) return;
    const code = take(top())
      .replace(/^\r?\n/, '')
      .trimEnd();
    if (code.trim() === '') return;
    const ticks = '`'.repeat(Math.max(3, longestTicks(code) + 1));
    add(`${ticks}${fence}\n${code}\n${ticks}`);
  }

  function closeItem(): void {
    const item = pop('item');
    if (item === undefined || item.blocks.length === 0) return;
    const list = lists.at(-1) ?? { ordered: false, items: 0, depth: 1 };
    const mark = list.ordered ? `${list.items + 1}. ` : '- ';
    const text = mark + indented(joined(item.blocks, '\n'), list.depth > DEEPEST_INDENT ? 0 : mark.length);
    add(text, list.items > 0);
    list.items += 1;
  }

  function closeQuote(): void {
    const quote = pop('quote');
    if (quote === undefined || quote.blocks.length === 0) return;
    const depth = sinks.filter(({ kind }) => kind === 'quote').length;
    const text = joined(quote.blocks);
    add(depth >= DEEPEST_INDENT ? text : text.replace(/^/gm, '> ').replace(/^> $/gm, '>'));
  }

  function closeCell(): void {
    const cell = pop('cell');
    const table = tables.at(-1);
    if (cell === undefined) return;
    const row = table?.rows.at(-1);
    if (table === undefined || row === undefined) {
      for (const block of cell.blocks) top().blocks.push(block);
      return;
    }
    const content = joined(cell.blocks);
    if (content.length > LONGEST_CELL || /^(#|```|- |\|)/m.test(content)) table.plain = true;
    row.push(content);
  }

  function closeTable(): void {
    const table = tables.pop();
    if (table === undefined) return;
    const rows = table.rows.filter((row) => row.some((cell) => cell !== ''));
    const columns = rows.reduce((most, row) => Math.max(most, row.length), 0);
    if (columns === 0) return;
    const cells = rows.reduce((sum, row) => sum + row.length, 0);
    const padded = columns > WIDEST_TABLE || columns * rows.length > cells * SPARSEST_TABLE;
    if (table.plain || padded || columns === 1)
      for (const cell of rows.flat().filter((text) => text !== '')) add(cell);
    else add(markdownTable(rows, columns));
  }

  return {
    open(name, attributes) {
      if (name === 'br') append('\n');
      else if (name === 'pre') openPre(attributes);
      else if (name === 'code' && preDepth === 1 && fence === '') {
        fence = languagePattern.exec(attributes.class ?? '')?.[1] ?? '';
      } else if (name === 'ul' || name === 'ol') {
        flush();
        lists.push({ ordered: name === 'ol', items: 0, depth: lists.length + 1 });
      } else if (name === 'li') push('item');
      else if (name === 'blockquote') push('quote');
      else if (name === 'table') {
        flush();
        tables.push({ rows: [], plain: false });
      } else if (name === 'tr') tables.at(-1)?.rows.push([]);
      else if (name === 'td' || name === 'th') {
        if (tables.at(-1)?.rows.length === 0) tables.at(-1)?.rows.push([]);
        push('cell');
      } else if (name === 'img') {
        const alt = (attributes.alt ?? '').replace(/\s+/g, ' ').trim();
        if (alt !== '') text(` ${alt} `);
      } else if (blockElements.has(name) || isHeading(name)) flush();
    },
    text,
    close(name) {
      if (isHeading(name)) {
        const title = flush(`${'#'.repeat(Number(name[1]))} `);
        if (name === 'h1' && heading === '') heading = title.replace(/\s+/g, ' ');
      } else if (name === 'pre') closePre();
      else if (name === 'li') closeItem();
      else if (name === 'ul' || name === 'ol') {
        flush();
        lists.pop();
      } else if (name === 'blockquote') closeQuote();
      else if (name === 'td' || name === 'th') closeCell();
      else if (name === 'table') {
        flush();
        closeTable();
      } else if (blockElements.has(name)) flush();
    },
    beginMain() {
      if (sinks.length > 1) return false;
      flush();
      mainFrom = page.blocks.length;
      return true;
    },
    endMain() {
      if (sinks.length > 1 || mainFrom === undefined) return;
      flush();
      for (const block of page.blocks.slice(mainFrom)) main.push(block);
      mainFrom = undefined;
    },
    finish() {
      while (sinks.length > 1) pop(top().kind);
      flush();
      return { all: joined(page.blocks), main: joined(main), heading };
    },
  };
}

function isHeading(name: string): boolean {
  return name.length === 2 && name >= 'h1' && name <= 'h6';
}

function take(sink: Sink): string {
  const text = sink.parts.join('');
  sink.parts = [];
  sink.lastCharacter = '';
  return text;
}

function joined(blocks: readonly Block[], between = '\n\n'): string {
  return blocks
    .map(({ text, follows }, index) => (index === 0 ? '' : follows ? '\n' : between) + text)
    .join('');
}

function longestTicks(code: string): number {
  return (code.match(/`+/g) ?? []).reduce((longest, ticks) => Math.max(longest, ticks.length), 0);
}

function indented(text: string, by: number): string {
  return by === 0 ? text : text.replace(/\n(?!\n|$)/g, `\n${' '.repeat(by)}`);
}

function markdownTable(rows: readonly string[][], columns: number): string {
  const line = (cells: readonly string[]) =>
    `| ${Array.from({ length: columns }, (_, column) => cellText(cells[column] ?? '')).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), `|${' --- |'.repeat(columns)}`, ...body.map(line)].join('\n');
}

function cellText(cell: string): string {
  return cell.replace(/\s+/g, ' ').replaceAll('|', '\\|');
}
