import { columnsOf, printable, shortened } from './printable.ts';

export interface Progress {
  /** @param done how many of the total are through. @param detail what is being worked on. */
  update(done: number, detail?: string): void;
  /** Takes the bar away, or writes the last plain line. */
  end(): void;
}

/** What the progress of long work is shown on. */
export interface ProgressSurface {
  /** A terminal, where one line is redrawn; otherwise plain lines follow one another. */
  readonly redraws: boolean;
  readonly columns: number;
  write(text: string): void;
}

/** A terminal is redrawn ten times a second at most, a log file gets a line every five seconds. */
const redrawMs = 100;
const plainLineMs = 5_000;

export function createProgress(
  surface: ProgressSurface,
  what: string,
  total: number,
  nowMs: () => number,
): Progress & { clear(): void } {
  const intervalMs = surface.redraws ? redrawMs : plainLineMs;
  let shownAtMs = Number.NEGATIVE_INFINITY;
  let state = { done: 0, detail: '' };
  let shownDone = -1;
  let ended = false;
  const show = () => {
    shownAtMs = nowMs();
    shownDone = state.done;
    if (surface.redraws) {
      surface.write(`\r${progressBar(what, state.done, total, state.detail, surface.columns - 1)}\u001b[K`);
    } else {
      surface.write(`${plainProgress(what, state.done, total)}\n`);
    }
  };
  const clear = () => {
    if (surface.redraws && shownDone >= 0) surface.write('\r\u001b[K');
  };
  return {
    update(done, detail = '') {
      if (ended) return;
      state = { done, detail: printable(detail) };
      if (nowMs() - shownAtMs >= intervalMs) show();
    },
    clear,
    end() {
      if (ended) return;
      ended = true;
      if (surface.redraws) clear();
      else if (shownDone !== state.done) show();
    },
  };
}

const barColumns = 24;

/** One line of at most `columns` columns, such as `Ingesting [#####----] 12 of 40  30 %  guide/start.md`. */
export function progressBar(
  what: string,
  done: number,
  total: number,
  detail: string,
  columns: number,
): string {
  const filled = Math.round(shareOf(done, total) * barColumns);
  const bar = `${'#'.repeat(filled)}${'-'.repeat(barColumns - filled)}`;
  const head = `${what} [${bar}] ${done} of ${total}  ${percentOf(done, total)} %`;
  const room = columns - columnsOf(head) - 2;
  return room < 4 || detail === '' ? shortened(head, columns) : `${head}  ${shortened(detail, room)}`;
}

function plainProgress(what: string, done: number, total: number): string {
  return `${what}: ${done} of ${total} (${percentOf(done, total)} %)`;
}

function shareOf(done: number, total: number): number {
  return total <= 0 ? 1 : Math.min(1, Math.max(0, done / total));
}

/** Rounded down, so that 100 is shown only when everything is done. */
function percentOf(done: number, total: number): number {
  return Math.floor(shareOf(done, total) * 100);
}
