/** A run of text on a page as pdf.js reports it; coordinates and sizes in points, origin at the bottom left. */
export type TextRun = {
  text: string;
  x: number;
  y: number;
  width: number;
  size: number;
  endsLine: boolean;
};

export type PdfLine = {
  text: string;
  x: number;
  right: number;
  y: number;
  /** Size of the largest letters on the line. */
  size: number;
  /** Has gaps as wide as those between the columns of a table. */
  tabular: boolean;
};

/** A gap between two runs this many letter sizes wide separates columns rather than words. */
const COLUMN_GAP = 1.8;
/** A smaller one still separates words, where the file draws none of its own. */
const WORD_GAP = 0.15;
const SAME_LINE = 0.5;
const leaders = /(?:\s?\.){5,}\s*/g;

/** Puts the runs of one page together into lines, in the order of the page's content. */
export function linesOf(runs: readonly TextRun[]): PdfLine[] {
  const lines: PdfLine[] = [];
  let current: TextRun[] = [];
  let first: TextRun | undefined;
  const finish = () => {
    const line = lineOf(current);
    current = [];
    first = undefined;
    if (line !== undefined) lines.push(line);
  };
  for (const run of runs) {
    const elsewhere =
      first !== undefined && Math.abs(run.y - first.y) > SAME_LINE * Math.max(run.size, first.size);
    if (elsewhere) finish();
    current.push(run);
    if (!isBlank(run)) first ??= run;
    if (run.endsLine) finish();
  }
  finish();
  return lines;
}

function lineOf(runs: readonly TextRun[]): PdfLine | undefined {
  const parts: string[] = [];
  let first: TextRun | undefined;
  let tabular = false;
  let right = 0;
  let size = 0;
  // pdf.js reports a space between words as a run of its own.
  let afterSpace = false;
  for (const run of runs) {
    if (isBlank(run)) {
      afterSpace ||= run.text !== '';
      continue;
    }
    const gap = first === undefined ? 0 : run.x - right;
    if (gap > run.size * COLUMN_GAP) tabular = true;
    if (first !== undefined && (afterSpace || gap > run.size * WORD_GAP)) parts.push(' ');
    parts.push(run.text);
    first ??= run;
    afterSpace = false;
    right = Math.max(right, run.x + run.width);
    size = Math.max(size, run.size);
  }
  if (first === undefined) return undefined;
  const text = parts.join('').replace(leaders, ' … ').replace(/\s+/g, ' ').trim();
  return { text, x: first.x, right, y: first.y, size, tabular };
}

function isBlank(run: TextRun): boolean {
  return run.text.trim() === '';
}

const FEWEST_PAGES = 4;
const REPEATS_ON = 0.4;
const EDGE_LINES = 2;
const FEWEST_NUMBERED = 3;
const numberAlone = /^\d+ \W{0,3}#\W{0,3}$/;

/**
 * Takes out the lines that stand, in the same size and numbers aside, at the top or bottom of two pages in five:
 * running titles and page numbers. Left in, they would break sentences that go on over the page and repeat in every search.
 */
export function withoutRunningLines(pages: readonly PdfLine[][]): PdfLine[][] {
  if (pages.length < FEWEST_PAGES) return pages.map((lines) => [...lines]);
  const pagesWith = new Map<string, number>();
  for (const lines of pages) {
    for (const key of new Set(edgeLines(lines).map(runningKey)))
      pagesWith.set(key, (pagesWith.get(key) ?? 0) + 1);
  }
  const enough = (key: string) =>
    numberAlone.test(key) ? FEWEST_NUMBERED : Math.max(3, pages.length * REPEATS_ON);
  return pages.map((lines) => {
    const running = new Set(
      edgeLines(lines).filter((line) => (pagesWith.get(runningKey(line)) ?? 0) >= enough(runningKey(line))),
    );
    return lines.filter((line) => !running.has(line));
  });
}

function edgeLines(lines: readonly PdfLine[]): PdfLine[] {
  const byHeight = lines.toSorted((one, other) => other.y - one.y);
  return [...byHeight.slice(0, EDGE_LINES), ...byHeight.slice(EDGE_LINES).slice(-EDGE_LINES)];
}

function runningKey(line: PdfLine): string {
  return `${Math.round(line.size)} ${line.text.replace(/\d+/g, '#').toLowerCase()}`;
}
