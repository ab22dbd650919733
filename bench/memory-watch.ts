/** Memory of a process at one moment of a benchmark. */
export interface MemorySample {
  /** Seconds since the beginning. */
  readonly seconds: number;
  /** Requests answered so far. */
  readonly requests: number;
  readonly mb: number;
}

export interface MemoryWatch {
  /** All samples so far, one a second, oldest first. */
  samples(): readonly MemorySample[];
  stop(): void;
}

const everyMs = 1_000;

/** Notes memory and the number of requests every second, beginning now. */
export function watchMemory(mb: () => number, requests: () => number): MemoryWatch {
  const begun = performance.now();
  const samples: MemorySample[] = [];
  const take = () =>
    samples.push({ seconds: (performance.now() - begun) / 1_000, requests: requests(), mb: mb() });
  take();
  const timer = setInterval(take, everyMs);
  return {
    samples: () => samples,
    stop() {
      clearInterval(timer);
      take();
    },
  };
}

/** @returns `points` + 1 samples evenly spaced by requests, the first and the last among them. */
export function seriesOf(samples: readonly MemorySample[], points: number): MemorySample[] {
  const last = samples.at(-1);
  if (last === undefined) return [];
  return Array.from({ length: points + 1 }, (_, point) => {
    const wanted = (last.requests * point) / points;
    return samples.find(({ requests }) => requests >= wanted) ?? last;
  });
}

/**
 * How memory grows: the slope of the line through the samples by least squares, in MiB for 100,000 requests. The first
 * quarter of the requests is left out, in which caches fill and code is compiled. NaN of fewer than two samples.
 */
export function slopeOf(samples: readonly MemorySample[]): number {
  const all = samples.at(-1)?.requests ?? 0;
  const counted = samples.filter(({ requests }) => requests >= all / 4);
  const mean = (read: (sample: MemorySample) => number): number =>
    counted.reduce((total, sample) => total + read(sample), 0) / counted.length;
  const requests = mean((sample) => sample.requests);
  const mb = mean((sample) => sample.mb);
  const covariance = mean((sample) => (sample.requests - requests) * (sample.mb - mb));
  const variance = mean((sample) => (sample.requests - requests) ** 2);
  return (covariance / variance) * 100_000;
}
