import { z } from 'zod';
import { createSeededRandom } from './seeded.ts';

/** What can go wrong, and when in a reply it does. */
export const faultKinds = [
  /** 429 with retry-after (`retryAfterS`, default 1). */
  'rate-limited',
  /** 500 in the provider's error shape. */
  'server-error',
  /** 503 in the provider's error shape. */
  'unavailable',
  /** An HTML page from some proxy on the way, with `status` (default 502). */
  'html-error',
  /** Reads the request and never answers. */
  'hang-before-headers',
  /** Answers in part and then never goes on. */
  'hang-mid-stream',
  /** Destroys the socket instead of answering. */
  'reset-before-headers',
  /** Destroys the socket in the middle of the answer. */
  'cut-mid-stream',
  /** A line of broken JSON in the middle of the answer; a stream then goes on as if nothing had been. */
  'malformed',
  /** A stream that ends without `data: [DONE]`. */
  'missing-done',
  /** Waits `delayMs` (default 2,000) before the first token. */
  'slow-first-token',
  /** Sends no usage, asked or not. */
  'no-usage',
] as const;

const faultSchema = z.strictObject({
  kind: z.enum(faultKinds),
  /** Chance that a call meets the fault, drawn from the seed and the call's number. */
  probability: z.number().min(0).max(1).default(1),
  /** The fault ends after this many calls have met it. */
  times: z.int().min(1).optional(),
  /** The fault ends this long after it was set. */
  forMs: z.int().min(1).optional(),
  /** Only calls of this model. */
  model: z.string().optional(),
  /** Only calls of this path, such as `/v1/embeddings`. */
  path: z.string().optional(),
  /** Mid-stream faults happen after this many content chunks; half way when left out. */
  afterChunks: z.int().min(0).optional(),
  delayMs: z.int().min(0).max(600_000).optional(),
  retryAfterS: z.number().min(0).max(86_400).optional(),
  status: z.int().min(400).max(599).optional(),
});

export type FaultKind = (typeof faultKinds)[number];
export type Fault = z.output<typeof faultSchema>;
export type FaultInput = z.input<typeof faultSchema>;

const maxFaults = 100;
const faultListSchema = z.array(faultSchema).max(maxFaults);

export interface Faults {
  /** Replaces what was set: one fault, several (the first that fires wins), or none to clear. Throws ZodError. */
  set(faults: FaultInput | readonly FaultInput[] | null): void;
  standing(): readonly Fault[];
  /** The fault that the call meets, if any; counts against `times`. */
  choose(call: {
    readonly number: number;
    readonly path: string;
    readonly model: string | null;
  }): Fault | undefined;
}

/** Standing faults. `seed` decides which calls a probability hits: the same seed, the same calls. */
export function createFaults(deps: { readonly seed: number; readonly now: () => number }): Faults {
  let standing: { readonly fault: Fault; readonly endsAt: number; timesLeft: number }[] = [];
  return {
    set(faults) {
      const list = faults === null ? [] : Array.isArray(faults) ? faults : [faults];
      standing = faultListSchema.parse(list).map((fault) => ({
        fault,
        endsAt: deps.now() + (fault.forMs ?? Number.POSITIVE_INFINITY),
        timesLeft: fault.times ?? Number.POSITIVE_INFINITY,
      }));
    },
    standing: () => standing.map(({ fault }) => fault),
    choose(call) {
      if (standing.length === 0) return undefined;
      const random = createSeededRandom(Math.imul(deps.seed, 31) + call.number);
      const now = deps.now();
      const met = standing.find(
        ({ fault, endsAt, timesLeft }) =>
          // The draw comes first, so that each fault sees the same numbers whatever the others do.
          random() < fault.probability &&
          timesLeft > 0 &&
          now < endsAt &&
          (fault.model === undefined || fault.model === call.model) &&
          (fault.path === undefined || fault.path === call.path),
      );
      if (met) met.timesLeft -= 1;
      return met?.fault;
    },
  };
}

/**
 * Reads a fault from one line, as in `rate-limited; probability=0.1; retryAfterS=2`: the form of the `x-sim-fault`
 * header and the `--fault` option. Throws ZodError for an unknown kind or property.
 */
export function parseFault(line: string): Fault {
  const [kind = '', ...properties] = line.split(';').map((part) => part.trim());
  const entries = properties.filter(Boolean).map((property) => {
    const [name = '', value = ''] = property.split('=', 2).map((part) => part.trim());
    return [name, name === 'model' || name === 'path' ? value : Number(value)] as const;
  });
  return faultSchema.parse({ kind, ...Object.fromEntries(entries) });
}
