import { Counter } from 'prom-client';
import { createGauge } from '../platform/gauge.ts';
import { createHistogram } from '../platform/histogram.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Target } from '../routing/index.ts';
import type { AccountDependencies, SettledCall } from './call-account.ts';
import type { InFlight } from './in-flight.ts';

interface Sums {
  readonly labels: { readonly provider: string; readonly model: string };
  readonly calls: Map<string, number>;
  input: number;
  cachedRead: number;
  output: number;
  reasoning: number;
  nanoUsd: bigint;
  unpriced: number;
}

/** Provider and model names come from callers, so only so many pairs get a line of their own. */
const maxPairs = 500;
const otherPair = 'other';

/**
 * What model calls come to, with all their attempts. Counted in plain numbers and turned into metrics when someone asks, because finding a
 * metric's labels anew for each call costs more than all the counting.
 */
export function createCallMetrics(
  registry: Metrics,
  inFlight: Pick<InFlight, 'calls'>,
): Pick<AccountDependencies, 'observe' | 'observeEarlier'> {
  const pairs = new Map<string, Sums>();
  const register = (
    name: string,
    help: string,
    labelNames: string[],
    fill: (counter: Counter, sums: Sums) => void,
  ) =>
    new Counter({
      name,
      help,
      labelNames: ['provider', 'model', ...labelNames],
      registers: [registry],
      collect() {
        this.reset();
        for (const sums of pairs.values()) fill(this, sums);
      },
    });
  register('gatehouse_model_calls_total', 'Model calls that have ended', ['status'], (counter, sums) => {
    for (const [status, calls] of sums.calls) counter.inc({ ...sums.labels, status }, calls);
  });
  register(
    'gatehouse_tokens_total',
    'Tokens by class; classes are part of input or output',
    ['class'],
    (counter, sums) => {
      counter.inc({ ...sums.labels, class: 'input' }, sums.input);
      counter.inc({ ...sums.labels, class: 'cached_read' }, sums.cachedRead);
      counter.inc({ ...sums.labels, class: 'output' }, sums.output);
      counter.inc({ ...sums.labels, class: 'reasoning' }, sums.reasoning);
    },
  );
  register(
    'gatehouse_cost_usd_total',
    'Cost of priced calls; the ledger has the exact sum',
    [],
    (counter, sums) => {
      counter.inc(sums.labels, Number(sums.nanoUsd) / 1e9);
    },
  );
  register('gatehouse_unpriced_calls_total', 'Calls of models without a known price', [], (counter, sums) => {
    counter.inc(sums.labels, sums.unpriced);
  });
  createGauge(registry, 'gatehouse_model_calls_in_flight', 'Model calls going on', () => inFlight.calls());
  const overhead = createHistogram(registry, {
    name: 'gatehouse_overhead_seconds',
    help: 'Time of a model call that was not spent waiting for its providers',
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1],
  }).series({});
  const firstToken = createHistogram(registry, {
    name: 'gatehouse_first_token_seconds',
    help: 'Time to the first bytes of a stream',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  }).series({});

  const sumsOf = (provider: string, model: string): Sums => {
    const key = `${provider} ${model}`;
    const known = pairs.get(key);
    if (known) return known;
    if (pairs.size >= maxPairs && provider !== otherPair) return sumsOf(otherPair, otherPair);
    const fresh: Sums = {
      labels: { provider, model },
      calls: new Map(),
      input: 0,
      cachedRead: 0,
      output: 0,
      reasoning: 0,
      nanoUsd: 0n,
      unpriced: 0,
    };
    pairs.set(key, fresh);
    return fresh;
  };

  const add = (target: Target, { usage, costNanoUsd }: SettledCall): Sums => {
    const sums = sumsOf(target.provider.name, target.model);
    sums.input += usage.inputTokens;
    sums.cachedRead += usage.cachedReadTokens;
    sums.output += usage.outputTokens;
    sums.reasoning += usage.reasoningTokens;
    if (costNanoUsd !== null) sums.nanoUsd += costNanoUsd;
    return sums;
  };

  return {
    observe(_call, account, ending, settled, durationMs) {
      const { target } = account;
      if (!target) return;
      const sums = add(target, settled);
      sums.calls.set(ending.status, (sums.calls.get(ending.status) ?? 0) + 1);
      if (settled.costNanoUsd === null) sums.unpriced++;
      overhead.observe(Math.max(0, durationMs - account.upstreamMs) / 1000);
      if (account.firstTokenMs !== null) firstToken.observe(account.firstTokenMs / 1000);
    },
    observeEarlier: add,
  };
}
