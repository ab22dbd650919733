/** Milliseconds, rounded. */
export interface Times {
  readonly times: number;
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export interface Figures {
  /** A kill was sent. @param what whom, and when. */
  killed(what: string): void;
  /** Something took so long. */
  took(what: string, ms: number): void;
  kills(): number;
  shown(): { kills: Record<string, number>; ready_ms: Record<string, Times> };
}

/** Counts and times of a run; they are told and never judged. */
export function createFigures(): Figures {
  const kills = new Map<string, number>();
  const times = new Map<string, number[]>();
  return {
    killed: (what) => void kills.set(what, (kills.get(what) ?? 0) + 1),
    took: (what, ms) => void times.set(what, [...(times.get(what) ?? []), ms]),
    kills: () => [...kills.values()].reduce((sum, count) => sum + count, 0),
    shown: () => ({
      kills: Object.fromEntries(kills),
      ready_ms: Object.fromEntries([...times].map(([what, all]) => [what, timesOf(all)])),
    }),
  };
}

function timesOf(ms: readonly number[]): Times {
  const sorted = ms.map(Math.round).sort((a, b) => a - b);
  const at = (place: number) => sorted[place] ?? 0;
  return { times: ms.length, min: at(0), median: at(Math.floor(ms.length / 2)), max: at(ms.length - 1) };
}
