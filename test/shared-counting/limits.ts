import { until } from '../harness/child.ts';
import { openStreams } from './held-streams.ts';
import { chatBody, type Findings, type House } from './house.ts';
import { type Answer, ask, crowd, statuses, windowWithRoom } from './load.ts';

const dayMs = 86_400_000;
/** A crowd on a busy machine has answered by then. */
const crowdMs = 20_000;

const admitted = (answers: readonly Answer[]): number =>
  answers.filter(({ status }) => status === 200).length;

/** Anything but being served or told to come back. */
function strange(answers: readonly Answer[]): string[] {
  const others = answers.filter(
    ({ status, headers }) => status !== 200 && !(status === 429 && Number(headers.get('retry-after')) >= 1),
  );
  return others.slice(0, 5).map(({ status, text }) => `answered ${status}: ${text.slice(0, 200)}`);
}

/** All callers at once, at both instances in turn, through two windows and a part of the third where `windows` says so. */
export async function requestsPerMinute(
  house: House,
  { callers, limit, windows }: { callers: number; limit: number; windows: number },
): Promise<Findings> {
  const tenant = await house.tenant('minutely', { requests_per_minute: limit });
  await windowWithRoom(60_000, crowdMs);
  const violations: string[] = [];
  const turns = Math.ceil((3 * limit) / callers);
  const first = await crowd(callers, turns, (caller, turn) =>
    ask({ url: house.instances.server((caller + turn) % 2).url, key: tenant.key }),
  );
  violations.push(...strange(first));
  if (admitted(first) !== limit) violations.push(`${admitted(first)} of ${limit} in the first minute`);

  const firstWindow = Math.floor((first[0]?.sentAt ?? 0) / 60_000);
  const later: Answer[] = [];
  while (windows > 1 && Date.now() < (firstWindow + windows) * 60_000) {
    // Five times what is allowed.
    later.push(
      ...(await crowd(Math.ceil(limit / 12), 1, (caller) =>
        ask({ url: house.instances.server(caller % 2).url, key: tenant.key }),
      )),
    );
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  violations.push(...strange(later));
  const perWindow: { certain: number; atMost: number }[] = [];
  for (let window = 1; window < windows; window++) {
    const beginsAt = (firstWindow + window) * 60_000;
    const within = later.filter(({ status, endedAt, sentAt }) => {
      return status === 200 && endedAt >= beginsAt && sentAt < beginsAt + 60_000;
    });
    const certain = within.filter((one) => one.sentAt >= beginsAt && one.endedAt < beginsAt + 60_000).length;
    perWindow.push({ certain, atMost: within.length });
    if (certain > limit) violations.push(`${certain} of ${limit} in minute ${window + 1}`);
    // The window before fades by the millisecond, so the last request fits only when the minute is over.
    if (within.length < 0.95 * limit) violations.push(`only ${within.length} in minute ${window + 1}`);
  }
  const figures = { limit, asked: first.length + later.length, first: admitted(first), later: perWindow };
  return { figures, violations };
}

/** Queries a second with a burst: never more than the burst and what has grown, never less while all keep asking. */
export async function queriesPerSecond(
  house: House,
  given: { callers: number; rate: number; burst: number; seconds: number },
): Promise<Findings> {
  const { callers, rate, burst, seconds } = given;
  const tenant = await house.tenant('quickly', { queries_per_second: rate, burst });
  const untilMs = performance.now() + seconds * 1_000;
  const answers: Answer[] = [];
  const began = performance.now();
  await crowd(callers, 1, async (caller) => {
    for (let turn = caller; performance.now() < untilMs; turn++) {
      answers.push(await ask({ url: house.instances.server(turn % 2).url, key: tenant.key }, chatBody(5)));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
  const tookMs = performance.now() - began;
  const most = burst + Math.floor((rate * tookMs) / 1_000);
  const got = admitted(answers);
  const violations = strange(answers);
  if (got > most) violations.push(`${got} queries admitted, at most ${most} had room`);
  const least = burst + Math.floor(rate * seconds * 0.9);
  if (got < least) violations.push(`${got} queries admitted, although ${least} had room`);
  return {
    figures: { rate, burst, tookMs: Math.round(tookMs), asked: answers.length, most, got },
    violations,
  };
}

export async function queriesPerDay(
  house: House,
  { callers, limit }: { callers: number; limit: number },
): Promise<Findings> {
  const tenant = await house.tenant('daily', { queries_per_day: limit });
  await windowWithRoom(dayMs, crowdMs);
  const answers = await crowd(callers, Math.ceil((3 * limit) / callers), (caller, turn) =>
    ask({ url: house.instances.server((caller + turn) % 2).url, key: tenant.key }, chatBody(5)),
  );
  const got = admitted(answers);
  const violations = strange(answers);
  if (got !== limit) violations.push(`${got} of ${limit} queries a day`);
  const rows = (await house.ledger(tenant)).length;
  if (rows !== limit) violations.push(`${rows} calls in the ledger, ${limit} allowed`);
  return { figures: { limit, asked: answers.length, got, rows }, violations };
}

/**
 * So many streams at a time, wherever they run. One instance is killed with its streams: its places, and the tokens it held,
 * are free when their leases end, and no sooner.
 */
export async function streamsAtATime(
  house: House,
  { callers, limit }: { callers: number; limit: number },
): Promise<Findings> {
  const { instances } = house;
  const tokensADay = 1_000_000_000;
  const tenant = await house.tenant('streaming', { concurrent: limit, tokens_per_day: tokensADay });
  const violations: string[] = [];
  instances.simulator.setPace({ chunkDelayMs: 60_000 });
  const crowdOf = (size: number, at: (n: number) => number) =>
    openStreams(
      Array.from({ length: size }, (_, n) => ({ instance: at(n), url: instances.server(at(n)).url })),
      tenant,
    );
  const held = await crowdOf(callers, (n) => n % 2);
  if (held.open().length !== limit) violations.push(`${held.open().length} of ${limit} streams at a time`);
  violations.push(...held.strange);

  const killed = held.open().filter(({ instance }) => instance === 1).length;
  await instances.kill9(1);
  const killedAt = performance.now();
  await until(async () => held.open().length === limit - killed);
  const tooEarly = await crowdOf(5, () => 0);
  if (tooEarly.open().length > 0) violations.push('places of the killed instance were free at once');
  await until(async () => (await house.left(0, tenant, 'concurrent')) >= killed);
  const returnedMs = performance.now() - killedAt;
  const tokensHeld = tokensADay - (await house.left(0, tenant, 'tokens_per_day'));
  // What each holds: its prompt by the size of the request, and what it may write.
  const each = held.tokensOfOne;
  if (tokensHeld !== (limit - killed) * each)
    violations.push(`${tokensHeld} tokens held, not ${(limit - killed) * each}`);
  const again = await crowdOf(killed + 20, () => 0);
  if (again.open().length !== killed) violations.push(`${again.open().length} of ${killed} places came back`);
  // A lease of 10 s, and what a busy machine takes to notice.
  if (returnedMs > 12_000) violations.push(`leases came back after ${Math.round(returnedMs)} ms`);

  await Promise.all([held, tooEarly, again].map((streams) => streams.leave()));
  await until(async () => (await house.left(0, tenant, 'concurrent')) === limit);
  instances.simulator.setPace({ chunkDelayMs: 0 });
  await instances.restart(1);
  await until(async () => (await house.left(1, tenant, 'concurrent')) === limit);
  const figures = { limit, callers, killed, returnedMs: Math.round(returnedMs) };
  return { figures, violations };
}

/** Tokens of the day are held while calls run: as many calls at once as fit, and in the end no more than the limit. */
export async function tokensPerDay(
  house: House,
  { callers, limit, each }: { callers: number; limit: number; each: number },
): Promise<Findings> {
  const { simulator } = house.instances;
  const tenant = await house.tenant('wordy', { tokens_per_day: limit });
  await windowWithRoom(dayMs, crowdMs);
  const body = chatBody(each);
  const reserved = Math.ceil(JSON.stringify(body).length / 4) + each;
  const fit = Math.floor(limit / reserved);
  const turn = (caller: number) =>
    ask({ url: house.instances.server(caller % 2).url, key: tenant.key }, body);
  const violations: string[] = [];
  // Slow enough that all have asked before the first has ended.
  simulator.setPace({ latencyMs: 8_000 });
  const first = await crowd(callers, 1, turn);
  violations.push(...strange(first));
  if (admitted(first) !== fit)
    violations.push(`${admitted(first)} calls of ${reserved} tokens at once, ${fit} fit`);
  simulator.setPace({ latencyMs: 0 });
  const all = [...first];
  for (let more = 1; more > 0; ) {
    const next = await crowd(callers, 1, turn);
    violations.push(...strange(next));
    more = admitted(next);
    all.push(...next);
  }
  const rows = await house.ledger(tenant);
  const used = rows.reduce((sum, row) => sum + row.input_tokens + row.output_tokens, 0);
  if (used > limit) violations.push(`${used} tokens used of ${limit}`);
  if (used <= limit - reserved) violations.push(`${limit - used} tokens could not be used`);
  for (const i of [0, 1]) {
    const left = await house.left(i, tenant, 'tokens_per_day');
    if (left !== limit - used)
      violations.push(`instance ${i} says ${left} tokens are left, ${limit - used} are`);
  }
  return { figures: { limit, reserved, fit, first: admitted(first), used, ...statuses(all) }, violations };
}
