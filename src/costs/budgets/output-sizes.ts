import { createBoundedCache } from '../../platform/bounded-cache.ts';
import type { OutputSizes } from './budget-gate.ts';

/** What is reserved for a model's answer while too little is known of it, unless its caller allows less. */
export const defaultOutputTokens = 2_048;
/** So large a share of answers is to be no longer than what is reserved for them. */
const covered = 0.95;
/** Each answer makes those before it weigh so much less: what counts is about the last 150. */
const decay = 0.993;
/** Edges of sizes grow by an eighth, so no more than that is reserved beyond the size that was asked for. */
const growth = 1.125;
/** The last edge is above a million tokens. */
const edgeCount = 120;
/** About 500 bytes each. */
const maxKinds = 10_000;

const edges: readonly number[] = Array.from({ length: edgeCount }, (_, i) => Math.ceil(growth ** i));

interface Seen {
  /** Weights by size: the answers no longer than the edge and longer than the one before. */
  readonly weights: Float32Array;
  total: number;
  largest: number;
}

/**
 * How long answers are, learned for each tenant, route and model: what covers 95 of 100 of the last ones, by the share of
 * n + 1 that makes it hold for the next one, too, as long as it is like those before (the quantile of conformal
 * prediction). Until that many were seen, 19, twice the longest seen or the default, whichever is more.
 *
 * What a call writes beyond what was reserved for it may overrun a hard limit: the limit is passed by no more than the sum,
 * over the calls under way when it was reached, of what each came to beyond its reservation; answers end at what their
 * callers allow, so that sum has a bound for each call whose caller sets one.
 */
export function createOutputSizes(): OutputSizes {
  const kinds = createBoundedCache<string, Seen>(maxKinds);
  const keyOf = (call: Parameters<OutputSizes['learn']>[0]) =>
    `${call.tenantId} ${call.route ?? ''} ${call.model}`;

  return {
    expect(call, bound) {
      const seen = kinds.get(keyOf(call));
      const expected = seen === undefined ? defaultOutputTokens : sizeThatCovers(seen);
      return bound === null ? expected : Math.min(bound, expected);
    },
    learn(call, outputTokens) {
      const key = keyOf(call);
      let seen = kinds.get(key);
      if (seen === undefined) {
        seen = { weights: new Float32Array(edgeCount), total: 0, largest: 0 };
        kinds.set(key, seen);
      }
      const { weights } = seen;
      for (let i = 0; i < edgeCount; i++) weights[i] = (weights[i] ?? 0) * decay;
      const at = edgeOf(outputTokens);
      weights[at] = (weights[at] ?? 0) + 1;
      seen.total = seen.total * decay + 1;
      seen.largest = Math.max(seen.largest, outputTokens);
    },
  };
}

function sizeThatCovers({ weights, total, largest }: Seen): number {
  const wanted = covered * (total + 1);
  if (wanted > total) return Math.max(defaultOutputTokens, 2 * largest);
  let sum = 0;
  for (let i = 0; i < edgeCount; i++) {
    sum += weights[i] ?? 0;
    if (sum >= wanted) return edges[i] ?? defaultOutputTokens;
  }
  return edges.at(-1) ?? defaultOutputTokens;
}

/** The first edge that is no less. */
function edgeOf(tokens: number): number {
  const near = Math.max(
    0,
    Math.min(edgeCount - 1, Math.floor(Math.log(Math.max(1, tokens)) / Math.log(growth)) - 1),
  );
  let at = near;
  while (at < edgeCount - 1 && (edges[at] ?? 0) < tokens) at++;
  return at;
}
