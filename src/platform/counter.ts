import type { Metrics } from './metrics.ts';

export interface Counter {
  /** The line of these labels, to be kept by the caller: finding it again costs more than counting. */
  series(labels: Readonly<Record<string, string>>): { inc(): void };
}

/** A counter for the hot path, as `histogram.ts` is a histogram: the labels are looked up once, not for every count. */
export function createCounter(registry: Metrics, { name, help }: { name: string; help: string }): Counter {
  const all = new Map<string, { labels: Readonly<Record<string, string>>; value: number }>();
  registry.registerMetric({
    name,
    help,
    type: 'counter',
    aggregator: 'sum',
    async get() {
      const values = [...all.values()].map(({ labels, value }) => ({ labels, value }));
      return { name, help, type: 'counter', aggregator: 'sum', values };
    },
    reset: () => all.clear(),
  } as never);

  return {
    series(labels) {
      const key = JSON.stringify(labels);
      const line = all.get(key) ?? { labels, value: 0 };
      all.set(key, line);
      return {
        inc() {
          line.value++;
        },
      };
    },
  };
}
