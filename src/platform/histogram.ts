import type { Metrics } from './metrics.ts';

export interface Histogram {
  /** The line of these labels, to be kept by the caller: finding it again costs more than observing. */
  series(labels: Readonly<Record<string, string>>): HistogramSeries;
}

export interface HistogramSeries {
  observe(value: number): void;
}

/**
 * A histogram for the hot path. The library's own looks its labels up anew for every value, which takes a microsecond
 * or two; this one adds to a few numbers and takes the library's form only when someone asks for the metrics.
 * @param buckets upper bounds, ascending.
 */
export function createHistogram(
  registry: Metrics,
  { name, help, buckets }: { name: string; help: string; buckets: readonly number[] },
): Histogram {
  const all = new Map<string, { labels: Readonly<Record<string, string>>; series: Series }>();

  class Series implements HistogramSeries {
    readonly counts = new Float64Array(buckets.length + 1);
    sum = 0;
    observe(value: number): void {
      let bucket = 0;
      while (bucket < buckets.length && value > (buckets[bucket] ?? 0)) bucket++;
      this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
      this.sum += value;
    }
    values(labels: Readonly<Record<string, string>>) {
      let count = 0;
      const cumulative = [...buckets, '+Inf'].map((le, bucket) => {
        count += this.counts[bucket] ?? 0;
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
      });
      return [
        ...cumulative,
        { metricName: `${name}_sum`, labels, value: this.sum },
        { metricName: `${name}_count`, labels, value: count },
      ];
    }
  }

  registry.registerMetric({
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    async get() {
      const values = [...all.values()].flatMap(({ labels, series }) => series.values(labels));
      return { name, help, type: 'histogram', aggregator: 'sum', values };
    },
    reset: () => all.clear(),
  } as never);

  return {
    series(labels) {
      const key = JSON.stringify(labels);
      const known = all.get(key);
      if (known) return known.series;
      const series = new Series();
      all.set(key, { labels, series });
      return series;
    },
  };
}
