import { z } from 'zod';
import { createSeededRandom, hash32 } from './seeded.ts';
import { listWires, type Wire, wires } from './wires.ts';

/** What can go wrong, and when in a reply it does. */
export const faultKinds = [
  /** 429 in the provider's form, with its way to say when to come back (`retryAfterS`, default 1). */
  'rate-limited',
  /** 500, or `status`, in the provider's error shape. */
  'server-error',
  /** The provider's way to say that it is overloaded: 503, or 529 at Anthropic, or `status`. */
  'unavailable',
  /** An HTML page from some proxy on the way, with `status` (default 502). */
  'html-error',
  /** Reads the request and never answers. */
  'hang-before-headers',
  /** Sends the headers of a good answer and then nothing. */
  'hang-before-first-token',
  /** Answers in part and then never goes on. */
  'hang-mid-stream',
  /** Resets the connection instead of answering. */
  'reset-before-headers',
  /** Resets the connection in the middle of the answer. */
  'reset-mid-stream',
  /** Drops the connection in the middle of the answer. */
  'cut-mid-stream',
  /** Ends its own half of the connection in the middle of the answer and leaves the other half open. */
  'half-close',
  /** Broken JSON, or a frame with a wrong checksum, in the middle of the answer; a stream then goes on. */
  'malformed',
  /** Bytes that are not UTF-8 in the answer's text. */
  'invalid-utf8',
  /** A small compressed reply that expands to `expandBytes` (default 1 GiB). */
  'gzip-bomb',
  /** The provider's error inside a stream that had begun well (an ordinary error when nothing is streamed). */
  'error-event',
  /** A stream that ends without what ends it: `[DONE]`, `message_stop`, the last chunk. */
  'missing-done',
  /** Waits `delayMs` (default 2,000) before the headers. */
  'slow-headers',
  /** Waits `delayMs` (default 2,000) before the first token: of a stream, after its headers. */
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
  /** Only calls with this key, or with a key that ends like this. */
  key: z.string().min(1).optional(),
  /** Only calls of this path, such as `/v1/embeddings`. */
  path: z.string().optional(),
  /** Only calls in this wire format. */
  wire: z.enum(wires).optional(),
  /** Mid-stream faults happen after this many content chunks; half way when left out. */
  afterChunks: z.int().min(0).optional(),
  delayMs: z.int().min(0).max(600_000).optional(),
  retryAfterS: z.number().min(0).max(86_400).optional(),
  status: z.int().min(400).max(599).optional(),
  expandBytes: z
    .int()
    .min(1)
    .max(2 ** 36)
    .optional(),
});

const maxFaults = 100;
const maxSteps = 100_000;
const maxSchedules = 100;

/** Which calls a schedule is for; all when empty. */
const scopeSchema = faultSchema.pick({ model: true, key: true, path: true, wire: true });
const stepSchema = z.union([faultSchema, z.string().transform((line) => parseFault(line)), z.null()]);

/** One list of what meets the first call in its scope, the second, and so on; null is a healthy call. */
const listedSchema = scopeSchema.extend({
  steps: z.array(stepSchema).min(1).max(maxSteps),
  /** Begin again after the last step; otherwise all later calls are healthy. */
  repeat: z.boolean().default(false),
});

/** A schedule drawn from a seed: each call in its scope has the share's chance of a fault, any of `kinds` alike. */
const seededSchema = scopeSchema.extend({
  seed: z.int(),
  share: z.number().min(0).max(1),
  kinds: z
    .array(z.enum(faultKinds))
    .min(1)
    .default([...faultKinds]),
  /** Settings for whichever fault is drawn. */
  delayMs: faultSchema.shape.delayMs,
  retryAfterS: faultSchema.shape.retryAfterS,
  expandBytes: faultSchema.shape.expandBytes,
  /** Faults come only among the first so many calls. */
  calls: z.int().min(1).optional(),
});

const scheduleSchema = z.union([listedSchema, seededSchema]);

export type FaultKind = (typeof faultKinds)[number];
export type Fault = z.output<typeof faultSchema>;
export type FaultInput = z.input<typeof faultSchema>;
export type FaultSchedule = z.input<typeof scheduleSchema>;
type Schedule = z.output<typeof scheduleSchema>;
type Scope = z.output<typeof scopeSchema>;

/** What a call shows of itself when its fault is chosen. `key` is the whole key as it came. */
export interface FaultedCall {
  readonly number: number;
  readonly path: string;
  readonly model: string | null;
  readonly wire: Wire;
  readonly key: string | undefined;
}

export interface Faults {
  /** Replaces what stands: one fault, several (the first that fires wins), or none to clear. Throws ZodError. */
  set(faults: FaultInput | readonly FaultInput[] | null): void;
  standing(): readonly Fault[];
  /** Replaces the schedules and counts their calls from the first again. Throws ZodError. */
  schedule(schedules: FaultSchedule | readonly FaultSchedule[] | null): void;
  schedules(): readonly (Schedule & { readonly met: number })[];
  /**
   * The fault that the call meets, if any. A schedule that the call is in the scope of decides alone, and counts the
   * call as its next step; otherwise a standing fault may fire, and counts it against `times`.
   */
  choose(call: FaultedCall): { readonly fault: Fault | undefined; readonly step: number | null };
}

/** `seed` decides which calls a standing probability hits: the same seed, the same calls. */
export function createFaults(deps: { readonly seed: number; readonly now: () => number }): Faults {
  let standing: { readonly fault: Fault; readonly endsAt: number; timesLeft: number }[] = [];
  let scheduled: { readonly schedule: Schedule; met: number }[] = [];

  function chooseStanding(call: FaultedCall): Fault | undefined {
    if (standing.length === 0) return undefined;
    const random = createSeededRandom(Math.imul(deps.seed, 31) + call.number);
    const now = deps.now();
    const met = standing.find(
      ({ fault, endsAt, timesLeft }) =>
        // The draw comes first, so that each fault sees the same numbers whatever the others do.
        random() < fault.probability && timesLeft > 0 && now < endsAt && covers(fault, call),
    );
    if (met) met.timesLeft -= 1;
    return met?.fault;
  }

  return {
    set(faults) {
      standing = z
        .array(faultSchema)
        .max(maxFaults)
        .parse(listOf(faults))
        .map((fault) => ({
          fault,
          endsAt: deps.now() + (fault.forMs ?? Number.POSITIVE_INFINITY),
          timesLeft: fault.times ?? Number.POSITIVE_INFINITY,
        }));
    },
    standing: () => standing.map(({ fault }) => fault),
    schedule(schedules) {
      scheduled = z
        .array(scheduleSchema)
        .max(maxSchedules)
        .parse(listOf(schedules))
        .map((schedule) => ({ schedule, met: 0 }));
    },
    schedules: () => scheduled.map(({ schedule, met }) => ({ ...schedule, met })),
    choose(call) {
      const entry = scheduled.find(({ schedule }) => covers(schedule, call) && isMeant(schedule, call));
      if (!entry) return { fault: chooseStanding(call), step: null };
      entry.met += 1;
      return { fault: stepOf(entry.schedule, entry.met), step: entry.met };
    },
  };
}

/** What the nth call (from 1) of a schedule meets. */
function stepOf(schedule: Schedule, nth: number): Fault | undefined {
  if ('steps' in schedule) {
    const { steps, repeat } = schedule;
    return steps[repeat ? (nth - 1) % steps.length : nth - 1] ?? undefined;
  }
  const { seed, share, kinds, calls, delayMs, retryAfterS, expandBytes } = schedule;
  if (calls !== undefined && nth > calls) return undefined;
  const random = createSeededRandom(hash32(`step ${nth}`, seed));
  if (random() >= share) return undefined;
  const kind = kinds[Math.floor(random() * kinds.length)] ?? 'server-error';
  return {
    kind,
    probability: 1,
    ...(delayMs !== undefined && { delayMs }),
    ...(retryAfterS !== undefined && { retryAfterS }),
    ...(expandBytes !== undefined && { expandBytes }),
  };
}

function covers(scope: Scope, call: FaultedCall): boolean {
  return (
    (scope.model === undefined || scope.model === call.model) &&
    (scope.path === undefined || scope.path === call.path) &&
    (scope.wire === undefined || scope.wire === call.wire) &&
    (scope.key === undefined || call.key?.endsWith(scope.key) === true)
  );
}

/** Lists of models and the like are asked for by health checks: only a schedule that names them takes them for steps. */
function isMeant(scope: Scope, { wire }: FaultedCall): boolean {
  return !listWires.has(wire) || scope.wire !== undefined || scope.path !== undefined;
}

function listOf<T>(given: T | readonly T[] | null): readonly T[] {
  if (given === null) return [];
  return Array.isArray(given) ? given : [given as T];
}

/**
 * Reads a fault from one line, as in `rate-limited; probability=0.1; retryAfterS=2`: the form of the `x-sim-fault`
 * header, of the `--fault` option and of a schedule's steps. Throws ZodError for an unknown kind or property.
 */
export function parseFault(line: string): Fault {
  const [kind = '', ...properties] = line.split(';').map((part) => part.trim());
  const entries = properties.filter(Boolean).map((property) => {
    const [name = '', value = ''] = property.split('=', 2).map((part) => part.trim());
    return [name, textual.has(name) ? value : Number(value)] as const;
  });
  return faultSchema.parse({ kind, ...Object.fromEntries(entries) });
}

const textual = new Set(['model', 'path', 'key', 'wire']);
