import { createDraws } from '../crash/random.ts';
import { compareBooks } from './books.ts';
import { costOf, type Findings, type House, nano, sumOf, usd } from './house.ts';
import { type Answer, ask, crowd, statuses } from './load.ts';
import { readReservations } from './reserved-notes.ts';

export interface BudgetSizes {
  readonly seed: number;
  readonly limitUsd: string;
  /** At once, each with one call of a random size, in each of two waves. */
  readonly callers: number;
  /** Most tokens that a call may be allowed. */
  readonly longest: number;
  /** The share of calls whose callers bound the answer; what is reserved for the others is a guess. 0.75 when absent. */
  readonly boundedShare?: number;
  /** Calls with short answers that are made before, so that guesses begin too low. */
  readonly taught?: number;
  /** One instance is killed when so much of the limit was served, and starts again between the waves. */
  readonly killAtShare: number | null;
}

/** How often a call that did not fit, or whose instance was killed, is made again. */
const triesAtMost = 4;

/**
 * A hard budget and two waves of calls that want several times as much of it. Some callers bound the answer; the others
 * leave it to the model, so that what is reserved for them is a guess.
 */
export async function spendBudget(house: House, sizes: BudgetSizes): Promise<Findings> {
  const { instances } = house;
  const { simulator } = instances;
  const limit = nano(Number(sizes.limitUsd).toFixed(9));
  const tenant = await house.tenant('spender');
  const budget = await house.budget(tenant, sizes.limitUsd);
  simulator.setPace({ latencyMs: 300, latencySigma: 0.5 });
  const notes = readReservations(() => [0, 1].map((i) => instances.server(i).dataDir));
  const draws = createDraws(sizes.seed);
  const answers: Answer[] = [];
  const violations: string[] = [];
  let made = 0;
  let killing: Promise<void> | null = null;
  const killIfDue = () => {
    if (sizes.killAtShare === null || killing !== null) return;
    const served = sumOf(
      simulator
        .calls()
        .filter(
          ({ headers, ending }) => ending === 'whole' && headers['x-correlation-id']?.startsWith(tenant.slug),
        )
        .map(({ served }) => costOf(served?.inputTokens ?? 0, served?.outputTokens ?? 0)),
    );
    if (Number(served) >= Number(limit) * sizes.killAtShare) killing = instances.kill9(1);
  };
  const oneCall = async (caller: number, _turn: number, choices = draws.integer(1, 4)): Promise<void> => {
    const asides = 'and of its shores, '.repeat(draws.integer(0, 40));
    const body = {
      model: 'openai/gpt-4o',
      messages: [{ role: 'user', content: `Tell me of the sea, ${asides}please` }],
      n: choices,
      stream: draws.chance(0.3),
      ...(draws.chance(sizes.boundedShare ?? 0.75) && { max_tokens: draws.integer(1, sizes.longest) }),
    };
    for (let tries = 0; tries < triesAtMost; tries++) {
      const at = killing === null || settled ? (caller + tries) % 2 : 0;
      const answer = await ask(
        { url: instances.server(at).url, key: tenant.key, correlation: `${tenant.slug}.${++made}` },
        body,
      );
      answers.push(answer);
      killIfDue();
      if (answer.status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  };
  let settled = false;
  await crowd(1, sizes.taught ?? 0, (caller, turn) => oneCall(caller + turn, turn, 1));
  await crowd(sizes.callers, 1, oneCall);
  if (sizes.killAtShare !== null) {
    if (killing === null) violations.push('too little was served for a kill in the middle');
    await (killing ?? instances.kill9(1));
    await instances.restart(1);
    settled = true;
  }
  await crowd(sizes.callers, 1, oneCall);
  notes.stop();
  simulator.setPace({ latencyMs: 0, latencySigma: 0 });

  const rows = await house.ledger(tenant);
  const journal = simulator
    .calls()
    .filter(({ headers }) => headers['x-correlation-id']?.startsWith(`${tenant.slug}.`));
  const books = compareBooks({ rows, journal, answers, reserved: notes.found });
  violations.push(...books.violations);
  const spent = sumOf(rows.map(({ cost_nano_usd }) => BigInt(cost_nano_usd)));
  const bound = boundOf(answers, rows, notes.found);
  if (spent > limit + bound) violations.push(`${usd(spent)} spent of ${usd(limit)}, bound ${usd(bound)}`);
  if (spent * 100n < limit * 95n) violations.push(`only ${usd(spent)} of ${usd(limit)} could be used`);
  for (const i of [0, 1]) {
    const shown = await house.budgetAt(i, tenant, budget);
    if (shown.spent !== spent || shown.reserved !== 0n)
      violations.push(
        `instance ${i} shows ${usd(shown.spent)} spent and ${usd(shown.reserved)} held, the ledger has ${usd(spent)}`,
      );
  }
  const hung = answers.filter((answer) => answer.hung).length;
  if (hung > 0) violations.push(`${hung} calls hung`);
  const odd = answers.filter(({ status }) => ![0, 200, 402, 503].includes(status));
  violations.push(...odd.slice(0, 5).map(({ status, text }) => `answered ${status}: ${text.slice(0, 200)}`));
  // 503 with a time to come back is what a hard budget says while Redis takes too long, as on a busy machine it may.
  const unsaid = answers.filter(
    ({ status, headers }) => status === 503 && headers.get('retry-after') === null,
  );
  if (unsaid.length > 0) violations.push(`${unsaid.length} × 503 that does not say when to come back`);
  if (sizes.killAtShare === null && answers.some(({ status }) => status === 0))
    violations.push('calls broke although nobody was killed');
  return {
    figures: {
      limit: usd(limit),
      spent: usd(spent),
      passedBy: spent > limit ? usd(spent - limit) : '0',
      bound: usd(bound),
      ...statuses(answers),
      ...books.figures,
    },
    violations,
  };
}

/**
 * By how much the limit may be passed: what calls that were under way when the last one was admitted came to beyond what
 * was reserved for them. Under way is taken widely, from before the call was sent until its answer had come.
 */
function boundOf(
  answers: readonly Answer[],
  rows: readonly { correlation_id: string; cost_nano_usd: string }[],
  reserved: ReadonlyMap<string, { inputTokens: number; outputTokens: number }>,
): bigint {
  const costs = new Map(rows.map((row) => [row.correlation_id, BigInt(row.cost_nano_usd)]));
  const admitted = answers.filter(({ correlation }) => reserved.has(correlation));
  // A call that fit was admitted after it was sent and before it had its answer: the earliest of all possible last moments.
  const lastAt = Math.max(...admitted.map(({ sentAt }) => sentAt));
  return sumOf(
    admitted
      .filter(({ endedAt }) => endedAt >= lastAt)
      .map(({ correlation }) => {
        const held = reserved.get(correlation);
        const beyond =
          (costs.get(correlation) ?? 0n) - (held ? costOf(held.inputTokens, held.outputTokens) : 0n);
        return beyond > 0n ? beyond : 0n;
      }),
  );
}
