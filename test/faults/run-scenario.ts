import type { JournalCall } from '../../tools/simulator/journal.ts';
import { createSimulator, type Simulator } from '../../tools/simulator/server.ts';
import { type ModelPath, startModelPath } from '../harness/model-path.ts';
import { askOnce } from './ask.ts';
import { wrongInBooks } from './check-ledger.ts';
import type { Reply } from './reply.ts';
import { patience, type Scenario } from './scenario.ts';

/** What one schedule came to. */
export interface Result {
  readonly seed: number;
  readonly calls: number;
  readonly answered: number;
  /** Streams that had begun when their provider broke, and ended with an error event. */
  readonly brokenWell: number;
  readonly left: number;
  /** Requests that may not be sent twice, ended by the fault they met: nobody may help them. */
  readonly notRepeated: number;
  readonly failed: number;
  /** Attempts beyond each call's first. */
  readonly retries: number;
  /** Faults that calls met. */
  readonly faults: Readonly<Record<string, number>>;
  readonly rows: number;
  /** What must not be, in words. */
  readonly violations: readonly string[];
  /** Calls that failed, in words. */
  readonly failures: readonly string[];
}

export interface Providers {
  readonly faulty: Simulator;
  readonly healthy: Simulator;
  /** Base URLs. */
  readonly urls: { readonly faulty: string; readonly healthy: string };
  stop(): Promise<void>;
}

const key = 'sk-test-upstream';

/** Two simulated providers, for one schedule after another. */
export async function startProviders(seed: number): Promise<Providers> {
  const faulty = createSimulator({ seed, apiKey: key, answerTokens: 24 });
  const healthy = createSimulator({ seed: seed + 1, apiKey: key, answerTokens: 24 });
  const urls = {
    faulty: `${(await faulty.start()).url}/v1`,
    healthy: `${(await healthy.start()).url}/v1`,
  };
  return {
    faulty,
    healthy,
    urls,
    async stop() {
      await faulty.stop();
      await healthy.stop();
    },
  };
}

/** Plays one schedule against a faulty provider and a healthy one that stands by, and looks at everything after. */
export async function runScenario(scenario: Scenario, { faulty, healthy, urls }: Providers): Promise<Result> {
  faulty.reset();
  healthy.reset();
  faulty.setSchedule({ steps: [...scenario.steps] });
  const { kind } = scenario.pairing;
  const model = kind === 'openai' ? 'gpt-4o-mini' : 'claude-sonnet-4-5';
  const path = await startModelPath({
    providers: {
      faulty: { baseUrl: urls.faulty, kind },
      healthy: { baseUrl: urls.healthy, kind },
    },
    routes: { fast: [[{ provider: 'faulty', model }], [{ provider: 'healthy', model }]] },
    timeouts: patience,
    health: { openMs: 2_000 },
    retryBudget: { least: 10 },
  });
  try {
    const replies = await askAll(path, scenario);
    const rows = await settledRows(path, scenario);
    const journals = { faulty: await endedCalls(faulty), healthy: await endedCalls(healthy) };
    const made = replies.map((_, number) => correlationOf(scenario, number));
    return resultOf(scenario, replies, {
      rows,
      journals,
      violations: [
        ...wrongInBooks({ rows, journals, made }),
        ...doneTwice(scenario, replies, journals),
        ...noticed(scenario, replies, journals),
      ],
    });
  } finally {
    await path.stop();
  }
}

async function askAll(path: ModelPath, scenario: Scenario): Promise<Reply[]> {
  const replies: Reply[] = [];
  let next = 0;
  const caller = async (): Promise<void> => {
    for (let number = next++; number < scenario.calls.length; number = next++) {
      const ask = scenario.calls[number];
      if (!ask) return;
      replies[number] = await askOnce(
        path.url,
        scenario.pairing.dialect,
        ask,
        number,
        correlationOf(scenario, number),
      );
    }
  };
  await Promise.all(Array.from({ length: scenario.concurrency }, caller));
  return replies;
}

/** A call whose caller left is settled a moment later. */
async function settledRows(path: ModelPath, scenario: Scenario) {
  for (let looks = 0; looks < 100; looks++) {
    const rows = await path.ledger();
    if (rows.filter((row) => row.final).length >= scenario.calls.length) return rows;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return path.ledger();
}

async function endedCalls(simulator: Simulator): Promise<JournalCall[]> {
  for (let looks = 0; looks < 200; looks++) {
    const calls = simulator.calls();
    if (calls.every((call) => call.ending !== null)) return calls;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return simulator.calls();
}

function correlationOf({ seed }: Scenario, number: number): string {
  return `schedule-${seed}-call-${number}`;
}

/** Tool calls that a caller would carry out twice, and requests that were sent again although a provider may have acted. */
function doneTwice(
  scenario: Scenario,
  replies: readonly Reply[],
  journals: Readonly<Record<string, readonly JournalCall[]>>,
): string[] {
  const all = Object.values(journals).flat();
  return scenario.calls.flatMap((ask, number) => {
    const correlation = correlationOf(scenario, number);
    const given = replies[number]?.toolCalls ?? [];
    const mayHaveActed = all.filter(
      (call) =>
        call.headers['x-correlation-id'] === correlation &&
        !(call.ending === 'refused' && [401, 403, 429, 503, 529].includes(call.status ?? 0)),
    );
    return [
      ...(given.length > 1 ? [`${correlation}: ${given.length} tool calls given out`] : []),
      ...(ask.actsByItself && mayHaveActed.length > 1
        ? [`${correlation}: sent ${mayHaveActed.length} times although it must not be`]
        : []),
    ];
  });
}

/** Callers who were told of a failure although nothing of an answer had come from anyone. */
function noticed(
  scenario: Scenario,
  replies: readonly Reply[],
  journals: Readonly<Record<string, readonly JournalCall[]>>,
): string[] {
  const all = Object.values(journals).flat();
  return replies.flatMap((reply, number) => {
    const ask = scenario.calls[number];
    // A tool's name is something of the answer, and comes before the pieces that the providers count.
    if (reply.kind !== 'broken_well' || ask?.actsByItself || ask?.tool) return [];
    const correlation = correlationOf(scenario, number);
    const begun = all.some((call) => call.headers['x-correlation-id'] === correlation && call.chunks > 0);
    return begun ? [] : [`${correlation}: noticed what nobody had to notice: ${reply.words}`];
  });
}

function resultOf(
  scenario: Scenario,
  replies: readonly Reply[],
  seen: {
    readonly rows: readonly Readonly<Record<string, unknown>>[];
    readonly journals: { readonly faulty: readonly JournalCall[] };
    readonly violations: readonly string[];
  },
): Result {
  const count = (kind: Reply['kind']) => replies.filter((reply) => reply.kind === kind).length;
  const lost = replies.flatMap((reply, number) =>
    reply.kind === 'refused' || reply.kind === 'garbled' ? [{ reply, number }] : [],
  );
  const failed = lost.filter(
    ({ reply, number }) => reply.kind === 'garbled' || !scenario.calls[number]?.actsByItself,
  );
  const faults: Record<string, number> = {};
  for (const { fault } of seen.journals.faulty) if (fault) faults[fault] = (faults[fault] ?? 0) + 1;
  const finals = seen.rows.filter((row) => row.final);
  return {
    seed: scenario.seed,
    calls: scenario.calls.length,
    answered: count('answered'),
    brokenWell: count('broken_well'),
    left: count('left'),
    notRepeated: lost.length - failed.length,
    failed: failed.length,
    retries: finals.reduce((total, row) => total + Math.max(0, Number(row.attempts) - 1), 0),
    faults,
    rows: seen.rows.length,
    violations: seen.violations.map((what) => `seed ${scenario.seed}: ${what}`),
    failures: failed.map(
      ({ reply, number }) => `${correlationOf(scenario, number)}: ${reply.kind} ${reply.words}`,
    ),
  };
}
