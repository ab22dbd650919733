import type { FaultInput, FaultKind } from '../../tools/simulator/faults.ts';
import { createSeededRandom, pick, type SeededRandom } from '../../tools/simulator/seeded.ts';

/** How callers ask, and what the two providers speak: where they differ, calls are translated. */
export interface Pairing {
  readonly dialect: 'chat' | 'responses' | 'messages';
  readonly kind: 'openai' | 'anthropic';
}

export interface Ask {
  readonly streamed: boolean;
  /** The request offers a tool of the caller's, and wants it called. */
  readonly tool: boolean;
  /** The request lets the provider act by itself, so it must not be sent twice. */
  readonly actsByItself: boolean;
  /** The caller leaves after the first bytes of the answer. */
  readonly leaves: boolean;
}

/** One fault schedule: everything that happens in it comes from its seed. */
export interface Scenario {
  readonly seed: number;
  readonly pairing: Pairing;
  readonly concurrency: number;
  readonly calls: readonly Ask[];
  /** What the nth call that the faulty provider gets meets. */
  readonly steps: readonly (FaultInput | null)[];
}

/** The patience of the gateway under test, milliseconds: short, so that hundreds of hangs fit into minutes. */
export const patience = { connectMs: 2_000, firstTokenMs: 400, idleMs: 400, totalMs: 20_000 };

const pairings: readonly Pairing[] = [
  { dialect: 'chat', kind: 'openai' },
  { dialect: 'chat', kind: 'openai' },
  { dialect: 'responses', kind: 'openai' },
  { dialect: 'messages', kind: 'anthropic' },
  { dialect: 'chat', kind: 'anthropic' },
];

/** Faults before anything of an answer, and in the middle of one. */
const refusing: readonly FaultKind[] = ['rate-limited', 'server-error', 'unavailable', 'html-error'];
const breaking: readonly FaultKind[] = [
  'hang-before-headers',
  'hang-before-first-token',
  'reset-before-headers',
  'slow-first-token',
  'slow-headers',
];
const midway: readonly FaultKind[] = [
  'cut-mid-stream',
  'reset-mid-stream',
  'hang-mid-stream',
  'half-close',
  'malformed',
  'error-event',
];
const harmless: readonly FaultKind[] = ['no-usage', 'missing-done'];
const mostCalls = 60;
const mostSteps = 400;

/** @returns the schedule of that seed: storms of one fault, faults strewn among answers, and quiet stretches. */
export function scenarioOf(seed: number): Scenario {
  const random = createSeededRandom(seed);
  const integer = (least: number, most: number) => least + Math.floor(random() * (most - least + 1));
  const pairing = pick(random, pairings) ?? { dialect: 'chat', kind: 'openai' };
  const calls = Array.from({ length: integer(mostCalls / 2, mostCalls) }, (): Ask => {
    const streamed = random() < 0.6;
    const actsByItself = pairing.dialect !== 'chat' && random() < 0.1;
    return {
      streamed,
      tool: !actsByItself && random() < 0.3,
      actsByItself,
      leaves: streamed && random() < 0.02,
    };
  });
  const steps: (FaultInput | null)[] = [];
  while (steps.length < mostSteps) steps.push(...stretch(random, integer));
  return { seed, pairing, concurrency: integer(1, 6), calls, steps };
}

function stretch(
  random: SeededRandom,
  integer: (least: number, most: number) => number,
): (FaultInput | null)[] {
  const length = integer(3, 40);
  const all = [...refusing, ...breaking, ...midway, ...harmless];
  const family = pick(random, [refusing, breaking, midway, all]) ?? all;
  const share = pick(random, [0, 0.05, 0.2, 0.5, 1]) ?? 0;
  const storm = random() < 0.5 ? pick(random, family) : undefined;
  return Array.from({ length }, () => {
    if (random() >= share) return null;
    return faultOf(storm ?? pick(random, family) ?? 'server-error', random, integer);
  });
}

function faultOf(
  kind: FaultKind,
  random: SeededRandom,
  integer: (least: number, most: number) => number,
): FaultInput {
  switch (kind) {
    case 'rate-limited':
      return { kind, retryAfterS: pick(random, [0, 0.2, 1, 3]) ?? 1 };
    case 'slow-first-token':
    case 'slow-headers':
      // Shorter than the gateway waits, or longer.
      return { kind, delayMs: random() < 0.5 ? 40 : 2 * patience.firstTokenMs };
    default:
      // Half of them before the first piece of the answer, where nobody may notice.
      return midway.includes(kind) ? { kind, afterChunks: random() < 0.5 ? 0 : integer(1, 6) } : { kind };
  }
}
