import type { FaultInput } from './faults.ts';

/** How the simulator is set up. Times are milliseconds. */
export interface SimulatorOptions {
  /** Decides every answer, vector, latency and fault draw. */
  readonly seed: number;
  /** 0, the default, takes a free port; the same port is kept when the simulator is stopped and started again. */
  readonly port?: number;
  /** Default 127.0.0.1: the control endpoints ask for no credential. */
  readonly host?: string;
  /** The bearer key or keys that are accepted; any when left out. */
  readonly apiKey?: string | readonly string[];
  /** Served models; any model name is accepted when left out. */
  readonly models?: readonly string[];
  /** Median time before a reply begins. */
  readonly latencyMs?: number;
  /** Spread of that time: the sigma of a log-normal distribution; 0 makes it the same for every call. */
  readonly latencySigma?: number;
  /** Time between the headers of a stream and its first token. */
  readonly firstTokenMs?: number;
  /** Time between the chunks of a stream; at 0 each chunk is still its own write. */
  readonly chunkDelayMs?: number;
  readonly tokensPerChunk?: number;
  /** Length of every answer in prose, in tokens (at most 200,000); seeded when left out. */
  readonly answerTokens?: number;
  /** Cached prompt tokens in every usage; seeded when left out. */
  readonly cachedTokens?: number;
  /** Longest prompt taken. */
  readonly contextTokens?: number;
  /** The provider's limits per key. Told in headers; enforced only when given. */
  readonly rateLimit?: { readonly requestsPerMinute: number; readonly tokensPerMinute: number };
  readonly faults?: readonly FaultInput[];
  /** Keep request bodies in the journal, 64 KiB of each. */
  readonly keepBodies?: boolean;
  /** Calls kept in the journal. */
  readonly journalLimit?: number;
  /** Answer chat with one prepared reply, for benchmarks. */
  readonly fast?: boolean;
  /** Milliseconds since 1970; the system's clock when left out. */
  readonly now?: () => number;
}

/** What may be changed while the simulator runs. */
export interface Pace {
  readonly latencyMs: number;
  readonly latencySigma: number;
  readonly firstTokenMs: number;
  readonly chunkDelayMs: number;
}

export type FullOptions = Required<
  Omit<SimulatorOptions, 'apiKey' | 'models' | 'answerTokens' | 'cachedTokens' | 'rateLimit'>
> &
  Pick<SimulatorOptions, 'apiKey' | 'models' | 'answerTokens' | 'cachedTokens' | 'rateLimit'>;

/** Fills in the defaults. */
export function withDefaults(options: SimulatorOptions): FullOptions {
  return {
    port: 0,
    host: '127.0.0.1',
    latencyMs: 0,
    latencySigma: 0,
    firstTokenMs: 0,
    chunkDelayMs: 0,
    tokensPerChunk: 1,
    contextTokens: 1_048_576,
    faults: [],
    keepBodies: false,
    journalLimit: 10_000,
    fast: false,
    now: Date.now,
    ...options,
  };
}
