import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type BenchGatehouse, startGatehouse } from './gatehouse.ts';
import { type MemorySample, seriesOf, slopeOf, watchMemory } from './memory-watch.ts';
import { chooseCores } from './pinning.ts';
import { type BenchProcess, cpuMsOf, startNode } from './processes.ts';
import { providerCalls } from './provider-calls.ts';
import { watchQuiet } from './quiet.ts';
import { runUsers, type User } from './run-users.ts';
import { createChance, createTexts } from './search-texts.ts';
import { percentileOf } from './statistics.ts';
import { pause } from './until.ts';
import { beyondMs, createTally, type ProviderTimes, providerTimesOf, type Tally } from './users-figures.ts';
import { type BenchTenant, setUpTenants } from './users-set-up.ts';
import { composeAsk, drawKind, type Kind, kinds, providerKinds } from './users-traffic.ts';

/**
 * `npm run bench:users`: a thousand users of several tenants at once, each asking, reading, thinking and asking again: whole
 * replies, streams, embeddings, knowledge queries and administration, against one Gatehouse with everything on. A few
 * others ask the simulated provider directly, for its own time. Nothing fails by time; it fails when a request fails or
 * when the ledger lacks a call that reached the provider.
 *
 * The users (this process), the provider, Gatehouse and its PostgreSQL share the machine's cores.
 */
const { values } = parseArgs({
  options: {
    users: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '30' },
    /** Ends after so many requests instead; for watching memory. */
    requests: { type: 'string' },
    'think-ms': { type: 'string', default: '5000' },
    'latency-ms': { type: 'string', default: '200' },
    'chunk-delay-ms': { type: 'string', default: '20' },
    tenants: { type: 'string', default: '5' },
    keys: { type: 'string', default: '20' },
    documents: { type: 'string', default: '20' },
    texts: { type: 'string', default: new URL('../docs', import.meta.url).pathname },
    /** Gives Gatehouse one core to itself, and all the others another. */
    pin: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const users = Number(values.users);
const seconds = Number(values.seconds);
const requests = values.requests === undefined ? undefined : Number(values.requests);
const thinkMs = Number(values['think-ms']);
const town = {
  tenants: Number(values.tenants),
  keysPerTenant: Number(values.keys),
  documentsPerTenant: Number(values.documents),
};

const answerTokens = 32;
const rampSeconds = 5;
const directUsers = 30;
const longestThink = 5;
const ledgerMs = 60_000;
const chance = createChance(7);
const texts = createTexts(values.texts, chance);

/** Thinking times follow an exponential law, cut at five times its mean. */
function drawThinkMs(): number {
  return Math.min(longestThink, -Math.log(1 - chance())) * thinkMs;
}

interface Parties {
  readonly simulator: BenchProcess;
  readonly gatehouse: BenchGatehouse;
  readonly tenants: readonly BenchTenant[];
}

function gatehouseUser(gatehouse: BenchGatehouse, tenant: BenchTenant, number: number, tally: Tally): User {
  const key = tenant.keys[number % tenant.keys.length] ?? gatehouse.apiKey;
  const models = { chat: 'bench', embeddings: 'embeddings' };
  return {
    url: gatehouse.url,
    next() {
      const ask = composeAsk(drawKind(chance), models, texts, tenant.passages, chance);
      return { ask, key: ask.kind === 'admin' ? tenant.adminKey : key };
    },
    note: tally.note,
  };
}

function directUser(simulator: BenchProcess, number: number, tally: Tally): User {
  const kind: Kind = providerKinds[number % providerKinds.length] ?? 'chat';
  const models = { chat: 'gpt-4o-mini', embeddings: 'text-embedding-3-small' };
  return {
    url: simulator.firstLine,
    next: () => ({ ask: composeAsk(kind, models, texts, [], chance), key: 'sk-test' }),
    note: tally.note,
  };
}

interface Outcome {
  readonly tally: Tally;
  readonly direct: Tally;
  readonly provider: ProviderTimes;
  readonly memory: readonly MemorySample[];
  readonly elapsedMs: number;
  readonly gatehouseCpuMs: number;
  readonly databaseCpuMs: number;
  readonly otherCpuMs: number;
}

async function run({ simulator, gatehouse, tenants }: Parties): Promise<Outcome> {
  const begun = performance.now();
  const countFrom = begun + rampSeconds * 1_000;
  const ends = countFrom + seconds * 1_000;
  const tally = createTally(countFrom);
  const direct = createTally(countFrom);
  const crowd = Array.from({ length: users }, (_, number) => {
    const tenant = tenants[number % tenants.length];
    if (!tenant) throw new Error('There must be a tenant.');
    return gatehouseUser(gatehouse, tenant, Math.floor(number / tenants.length), tally);
  });
  const beside = Array.from({ length: directUsers }, (_, number) => directUser(simulator, number, direct));
  const cpu = () => ({
    gatehouse: gatehouse.process.cpuMs(),
    database: gatehouse.databaseCpuMs(),
    other: simulator.cpuMs() + cpuMsOf(process.pid),
  });
  const before = cpu();
  const watch = watchMemory(gatehouse.process.memoryMb, tally.answered);
  await runUsers({
    users: [...crowd, ...beside],
    thinkMs: drawThinkMs,
    rampMs: rampSeconds * 1_000,
    isOver: () => (requests === undefined ? performance.now() >= ends : tally.answered() >= requests),
  });
  watch.stop();
  const after = cpu();
  return {
    tally,
    direct,
    provider: providerTimesOf(direct, answerTokens),
    memory: watch.samples(),
    elapsedMs: performance.now() - begun,
    gatehouseCpuMs: after.gatehouse - before.gatehouse,
    databaseCpuMs: after.database - before.database,
    otherCpuMs: after.other - before.other,
  };
}

function tell(outcome: Outcome): void {
  const { tally, provider } = outcome;
  const line = (name: string, count: number, sorted: readonly number[], failed: number): string => {
    const points = [50, 95, 99, 100].map((percent) => percentileOf(sorted, percent).toFixed(1).padStart(8));
    return `  ${name.padEnd(26)}${String(count).padStart(8)}${points.join('')}${String(failed).padStart(8)}\n`;
  };
  const lines = kinds.map((kind) => {
    const { answered, failed } = tally.of(kind);
    return line(kind, answered, beyondMs(tally, kind, provider), failed);
  });
  const firstTokens = tally.of('stream').firstTokenMs.map((ms) => ms - provider.streamFirstToken);
  const all = kinds.flatMap((kind) => beyondMs(tally, kind, provider)).sort((left, right) => left - right);
  process.stdout.write(
    `\n  Milliseconds beyond the provider's own time${' '.repeat(2)}p50     p95     p99     max  errors\n` +
      lines.join('') +
      line(
        'first token of streams',
        firstTokens.length,
        firstTokens.sort((left, right) => left - right),
        0,
      ) +
      line('all', tally.answered(), all, tally.errorCount()) +
      `  The provider's own: whole reply ${provider.chat.toFixed(0)} ms, stream ${provider.stream.toFixed(0)} ms (first token ` +
      `${provider.streamFirstToken.toFixed(0)} ms), embeddings ${provider.embeddings.toFixed(0)} ms, measured beside it.\n`,
  );
  for (const error of tally.errors()) process.stdout.write(`  ERROR ${error}\n`);
  tellResources(outcome);
}

function tellResources({ tally, memory, elapsedMs, ...cpu }: Outcome): void {
  const share = (ms: number): string => `${((100 * ms) / elapsedMs).toFixed(0)} %`;
  const points = requests === undefined ? 4 : 20;
  const series = seriesOf(memory, points).map(
    ({ requests: count, mb }) => `${mb.toFixed(0)} at ${count.toLocaleString('en')}`,
  );
  process.stdout.write(
    `\n  Throughput: ${((tally.answered() * 1_000) / elapsedMs).toFixed(0)} requests/s over ${(elapsedMs / 1_000).toFixed(0)} s\n` +
      `  CPU of one core: Gatehouse ${share(cpu.gatehouseCpuMs)}, its database ${share(cpu.databaseCpuMs)}, provider and users ${share(cpu.otherCpuMs)}\n` +
      `  Memory of Gatehouse, MiB at so many requests: ${series.join(', ')}\n` +
      `  Slope after the first quarter: ${slopeOf(memory).toFixed(2)} MiB per 100,000 requests\n`,
  );
}

/** The ledger is written in batches and so may be a moment behind. */
async function checkLedger(
  { gatehouse, tenants }: Parties,
  bookedBefore: number,
  expected: number,
): Promise<void> {
  const slugs = tenants.map(({ slug }) => slug);
  const deadline = performance.now() + ledgerMs;
  let booked = (await gatehouse.ledgerCalls(slugs)) - bookedBefore;
  while (booked < expected && performance.now() < deadline) {
    await pause(200);
    booked = (await gatehouse.ledgerCalls(slugs)) - bookedBefore;
  }
  process.stdout.write(`\nLedger: ${booked} calls booked of ${expected} that reached the provider.\n`);
  if (booked !== expected) process.exitCode = 1;
}

async function bench(): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  try {
    const cores = values.pin ? chooseCores() : { load: undefined, tested: undefined };
    const simulator = await startNode(
      new URL('../tools/simulator/main.ts', import.meta.url).pathname,
      [
        ...['--port', '0', '--answer-tokens', String(answerTokens), '--latency-ms', values['latency-ms']],
        ...['--chunk-delay-ms', values['chunk-delay-ms']],
      ],
      { core: cores.load },
    );
    stops.push(simulator.stop);
    const gatehouse = await startGatehouse(simulator.firstLine, {
      core: cores.tested,
      databaseCore: cores.load,
    });
    stops.push(gatehouse.stop);
    const tenants = await setUpTenants(gatehouse, town, texts);
    const parties = { simulator, gatehouse, tenants };
    process.stdout.write(
      `${users} users of ${town.tenants} tenants with ${town.tenants * town.keysPerTenant} keys and ` +
        `${town.tenants * town.documentsPerTenant} documents; they think ${thinkMs} ms on average\n`,
    );
    const bookedBefore = await gatehouse.ledgerCalls(tenants.map(({ slug }) => slug));
    const callsBefore = await providerCalls(simulator.firstLine);
    const tellQuiet = watchQuiet(
      () => simulator.cpuMs() + gatehouse.process.cpuMs() + gatehouse.databaseCpuMs(),
    );
    const outcome = await run(parties);
    tell(outcome);
    tellQuiet();
    const byOthers = outcome.direct.answered() + outcome.direct.errorCount();
    await checkLedger(
      parties,
      bookedBefore,
      (await providerCalls(simulator.firstLine)) - callsBefore - byOthers,
    );
    if (outcome.tally.errorCount() > 0) process.exitCode = 1;
    if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figuresOf(outcome))}\n`);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

function figuresOf({ tally, provider, direct: _, ...rest }: Outcome): object {
  const spread = (kind: Kind) => {
    const sorted = beyondMs(tally, kind, provider);
    const at = (percent: number) => percentileOf(sorted, percent);
    return {
      ...{ count: sorted.length, failed: tally.of(kind).failed },
      p50: at(50),
      p95: at(95),
      p99: at(99),
    };
  };
  return { ...rest, provider, beyondMs: Object.fromEntries(kinds.map((kind) => [kind, spread(kind)])) };
}

await bench();
