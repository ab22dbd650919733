import { until } from '../harness/child.ts';
import {
  chatBody,
  costOf,
  type Findings,
  type House,
  type LimitedTenant,
  nano,
  sumOf,
  usd,
} from './house.ts';
import { type Answer, ask, crowd, percentile, statuses, steadily } from './load.ts';

export interface OutageSizes {
  /** Seconds of each phase. */
  readonly healthy: number;
  readonly killed: number;
  readonly frozen: number;
  readonly flapping: number;
  /** Queries a second that a tenant may make, with as many at once; requests a minute of another. Each asks five times that. */
  readonly rate: number;
  readonly perMinute: number;
  /** Of a tenant whose hard budget ends in the middle of it. */
  readonly limitUsd: string;
}

type Phase = 'healthy' | 'killed' | 'frozen' | 'flapping' | 'between';
type Seen = Answer & { readonly phase: Phase };

const overload = 5;
/** What a limit may be passed by while each instance counts for itself. */
const overrunShare = 0.1;
const backWithinMs = 5_000;
/** Until an instance has noticed that Redis is away, what it began before is still under way. */
const noticeMs = 1_500;

/**
 * Steady load on four tenants (one that nothing limits, one at five times its rate, one at five times its requests a minute,
 * one with a hard budget) while Redis is killed, comes back empty, keeps connections but answers nothing, and flaps.
 */
export async function loseRedis(house: House, sizes: OutageSizes): Promise<Findings> {
  const { instances } = house;
  const { redis } = instances;
  instances.simulator.setPace({ latencyMs: 20 });
  const violations: string[] = [];
  const smooth = await house.tenant('smooth', { queries_per_day: 1_000_000 });
  const quick = await house.tenant('quick', { queries_per_second: sizes.rate, burst: sizes.rate });
  const minutely = await house.tenant('minute', { requests_per_minute: sizes.perMinute });
  const spender = await house.tenant('thrifty');
  await house.budget(spender, sizes.limitUsd);
  const later: LimitedTenant[] = [];
  for (let n = 0; n < 3; n++) later.push(await house.tenant('later', { queries_per_day: laterLimit }));

  let phase: Phase = 'healthy';
  const load = (tenant: LimitedTenant, perSecond: number, body?: (n: number) => object) =>
    steadily(1_000 / perSecond, async (n): Promise<Seen> => {
      const inPhase = phase;
      const to = { url: instances.server(n % 2).url, key: tenant.key, correlation: `${tenant.slug}.${n}` };
      return { ...(await ask(to, body?.(n))), phase: inPhase };
    });
  const startedAt = Date.now();
  const running = {
    smooth: load(smooth, 20, () => chatBody(5)),
    quick: load(quick, overload * sizes.rate, () => chatBody(5)),
    minutely: load(minutely, (overload * sizes.perMinute) / 60),
    spender: load(spender, 10, () => chatBody(100)),
  };
  const spans: { phase: Phase; from: number; to: number }[] = [];
  const during = async (name: Phase, seconds: number, meanwhile?: (untilMs: number) => Promise<void>) => {
    phase = name;
    const from = Date.now();
    const untilMs = from + seconds * 1_000;
    await meanwhile?.(untilMs);
    await pause(untilMs - Date.now());
    spans.push({ phase: name, from, to: Date.now() });
    phase = 'between';
  };
  const backMs: number[] = [];
  /** From the moment when Redis answers again. */
  const sharedAgain = async () => {
    const from = performance.now();
    await until(async () => (await Promise.all([0, 1].map((i) => isShared(house, i)))).every(Boolean));
    backMs.push(Math.round(performance.now() - from));
    const tenant = later[backMs.length - 1];
    if (tenant) violations.push(...(await countsTogether(house, tenant)));
  };

  await during('healthy', sizes.healthy);
  await during('killed', sizes.killed, () => redis.kill());
  await redis.startAgain();
  await sharedAgain();
  await during('frozen', sizes.frozen, async () => redis.freeze());
  redis.thaw();
  await sharedAgain();
  await during('flapping', sizes.flapping, async (untilMs) => {
    while (Date.now() < untilMs) {
      await redis.kill();
      await pause(700);
      await redis.startAgain();
      await pause(700);
      redis.freeze();
      await pause(400);
      redis.thaw();
      await pause(300);
    }
  });
  await sharedAgain();
  await during('healthy', sizes.healthy);

  const [ofSmooth, ofQuick, ofMinute, ofSpender] = await Promise.all([
    running.smooth(),
    running.quick(),
    running.minutely(),
    running.spender(),
  ]);
  const endedAt = Date.now();
  const all = [...ofSmooth, ...ofQuick, ...ofMinute, ...ofSpender];
  const hung = all.filter((answer) => answer.hung || answer.status === 0);
  if (hung.length > 0) violations.push(`${hung.length} calls got no answer: ${hung[0]?.text}`);
  for (const [name, answers, allowed] of [
    ['smooth', ofSmooth, [200]],
    ['quick', ofQuick, [200, 429]],
    ['minute', ofMinute, [200, 429]],
    ['spender', ofSpender, [200, 402, 503]],
  ] as const) {
    const odd = answers.filter(({ status }) => !(allowed as readonly number[]).includes(status));
    if (odd.length > 0)
      violations.push(`${name}: ${odd.length} × ${odd[0]?.status} ${odd[0]?.text.slice(0, 200)}`);
  }

  const seconds = (endedAt - startedAt) / 1_000;
  const rateRuns = spans.map(({ phase: name, from, to }) => {
    const got = admittedBetween(ofQuick, from, to);
    return { phase: name, got, most: Math.floor(sizes.rate + (sizes.rate * (to - from)) / 1_000) };
  });
  const whole = {
    phase: 'whole',
    got: admittedBetween(ofQuick, startedAt, endedAt),
    most: Math.floor(sizes.rate * (1 + seconds)),
  };
  const minutes = perMinuteOf(ofMinute, sizes.perMinute);
  for (const run of [...rateRuns, whole, ...minutes]) {
    if (run.got > run.most * (1 + overrunShare))
      violations.push(`${run.phase}: ${run.got} admitted of ${run.most}`);
  }

  const rows = await house.ledger(spender);
  const spent = sumOf(rows.map(({ cost_nano_usd }) => BigInt(cost_nano_usd)));
  const limit = nano(Number(sizes.limitUsd).toFixed(9));
  if (spent > limit) violations.push(`the hard budget of ${usd(limit)} came to ${usd(spent)}`);
  if (limit - spent > costOf(100, 100) + limit / 20n)
    violations.push(`only ${usd(spent)} of ${usd(limit)} was used`);
  const without = spans.filter((span) => span.phase === 'killed' || span.phase === 'frozen');
  const unguarded = ofSpender.filter(
    ({ status, sentAt }) =>
      status === 200 && without.some(({ from, to }) => sentAt > from + noticeMs && sentAt < to - noticeMs),
  );
  if (unguarded.length > 0)
    violations.push(`${unguarded.length} calls on a hard budget while nobody counted it`);
  if (backMs.some((ms) => ms > backWithinMs))
    violations.push(`shared counting was back after ${backMs.join()} ms`);

  const times = (name: Phase) => ofSmooth.filter((one) => one.phase === name).map(({ tookMs }) => tookMs);
  const p99 = (name: Phase) => Math.round(percentile(times(name), 0.99) * 10) / 10;
  instances.simulator.setPace({ latencyMs: 0 });
  return {
    figures: {
      calls: all.length,
      p50Ms: Object.fromEntries(
        phases.map((name) => [name, Math.round(percentile(times(name), 0.5) * 10) / 10]),
      ),
      p99Ms: Object.fromEntries(phases.map((name) => [name, p99(name)])),
      longestMs: Math.round(Math.max(...all.map(({ tookMs }) => tookMs))),
      longestOfSmoothMs: Math.round(Math.max(...ofSmooth.map(({ tookMs }) => tookMs))),
      rates: [...rateRuns, whole],
      minutes,
      backMs,
      spender: { limit: usd(limit), spent: usd(spent), ...statuses(ofSpender) },
    },
    violations,
  };
}

const phases = ['healthy', 'killed', 'frozen', 'flapping'] as const;
const laterLimit = 60;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, Math.max(0, ms)));

async function isShared(house: House, i: number): Promise<boolean> {
  const metrics = await fetch(`${house.instances.server(i).url}/metrics`).then((reply) => reply.text());
  return /^gatehouse_limits_redis_state 1$/m.test(metrics);
}

/**
 * A limit that nothing was counted against is one limit again: exactly, unless an instance had to do without Redis once more
 * meanwhile, as it may on a busy machine; then nearly.
 */
async function countsTogether(house: House, tenant: LimitedTenant): Promise<string[]> {
  const before = await decidedAlone(house);
  const answers = await crowd(30, 4, (caller, turn) =>
    ask({ url: house.instances.server((caller + turn) % 2).url, key: tenant.key }, chatBody(5)),
  );
  const got = answers.filter(({ status }) => status === 200).length;
  const most = (await decidedAlone(house)) === before ? laterLimit : laterLimit * (1 + overrunShare);
  if (got >= laterLimit * (1 - overrunShare) && got <= most && (most > laterLimit || got === laterLimit))
    return [];
  return [`${got} of ${laterLimit} admitted when Redis was back: ${JSON.stringify(statuses(answers))}`];
}

/** How many decisions both instances have made without Redis. */
async function decidedAlone(house: House): Promise<number> {
  let decisions = 0;
  for (const i of [0, 1]) {
    const metrics = await fetch(`${house.instances.server(i).url}/metrics`).then((reply) => reply.text());
    const counts = metrics.matchAll(/^gatehouse_limits_local_decisions_total\{[^}]*\} (\d+)$/gm);
    for (const [, count] of counts) decisions += Number(count);
  }
  return decisions;
}

/** Those that were certainly admitted in that time. */
function admittedBetween(answers: readonly Answer[], from: number, to: number): number {
  return answers.filter(({ status, sentAt, endedAt }) => status === 200 && sentAt >= from && endedAt <= to)
    .length;
}

function perMinuteOf(answers: readonly Answer[], limit: number) {
  const admitted = answers.filter(({ status }) => status === 200);
  const ofMinute = Map.groupBy(
    admitted.filter(({ sentAt, endedAt }) => minuteOf(sentAt) === minuteOf(endedAt)),
    ({ sentAt }) => minuteOf(sentAt),
  );
  return [...ofMinute.values()].map((ones, at) => ({
    phase: `minute ${at + 1}`,
    got: ones.length,
    most: limit,
  }));
}

const minuteOf = (ms: number) => Math.floor(ms / 60_000);
