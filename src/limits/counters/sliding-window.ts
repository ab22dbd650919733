/** Two fixed windows: the one with this index, and the one before it. */
export interface WindowCounts {
  index: number;
  previous: number;
  current: number;
  /** Held by reservations, of whatever window: it counts in full until they are settled. */
  held: number;
}

/** The counts as they stand at one instant. Filled anew for each look, so that looking allocates nothing. */
export interface WindowView extends WindowCounts {
  /** Of `span`, in the same unit. */
  elapsed: number;
  /** The window's length: milliseconds, or seconds from an hour on. */
  span: number;
  /** Milliseconds of one of `elapsed`. */
  unitMs: number;
  /** When the window with `index` ends, milliseconds since the epoch. */
  endsAtMs: number;
}

/** From here on a window is counted in seconds, so that its product with a limit stays below 2^53. */
const secondsFromMs = 3_600_000;

export const blankView = (): WindowView => ({
  index: 0,
  previous: 0,
  current: 0,
  held: 0,
  elapsed: 0,
  span: 1,
  unitMs: 1,
  endsAtMs: 0,
});

/**
 * Brings counts to now, into `view`. A clock that was set back by less than a window leaves the newer window in place, as
 * if it had just begun; one that had been a whole window and more ahead has its counts moved to now, so that a clock set
 * right does not freeze them until it gets there again.
 */
export function viewWindow(
  counts: WindowCounts | undefined,
  windowMs: number,
  nowMs: number,
  view: WindowView,
): void {
  const nowIndex = Math.floor(nowMs / windowMs);
  const unitMs = windowMs >= secondsFromMs ? 1000 : 1;
  view.unitMs = unitMs;
  view.span = windowMs / unitMs;
  view.index = nowIndex;
  view.held = counts === undefined ? 0 : counts.held;
  if (counts === undefined || counts.index < nowIndex - 1) {
    view.previous = 0;
    view.current = 0;
  } else if (counts.index === nowIndex - 1) {
    view.previous = counts.current;
    view.current = 0;
  } else {
    view.previous = counts.previous;
    view.current = counts.current;
    if (counts.index === nowIndex + 1) view.index = counts.index;
  }
  view.elapsed = view.index > nowIndex ? 0 : Math.floor((nowMs - nowIndex * windowMs) / unitMs);
  view.endsAtMs = (view.index + 1) * windowMs;
}

/**
 * The largest amount that has room, `limit - current - held - previous * (w - e) / w` rounded down; negative when over.
 * Exact: where it is not negative, every product is below 2^53.
 */
export function roomIn(view: WindowView, limit: number): number {
  const { span } = view;
  const over = view.previous * (span - view.elapsed) + (view.current + view.held) * span;
  return Math.floor((limit * span - over) / span);
}

/**
 * When `amount` has room if nobody else comes and what is held is spent in this window: in the rest of this window, while
 * the one before it fades, or in the next, while this one does, or in the one after that.
 * @returns milliseconds since the epoch; null when `amount` is more than the limit.
 */
export function roomAtMs(view: WindowView, windowMs: number, limit: number, amount: number): number | null {
  if (amount > limit) return null;
  const spent = view.current + view.held;
  const startMs = view.endsAtMs - windowMs;
  if (spent + amount <= limit) {
    return startMs + fadedAt(view.span, view.previous, limit - spent - amount) * view.unitMs;
  }
  return view.endsAtMs + fadedAt(view.span, spent, limit - amount) * view.unitMs;
}

/** How far a window must be gone until no more than `room` is left of `count` from the window before it. */
function fadedAt(span: number, count: number, room: number): number {
  return count <= room ? 0 : span - Math.floor((room * span) / count);
}
