import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Subject } from './compare.ts';
import { type BenchGatehouse, homeTenant, startGatehouse } from './gatehouse.ts';
import { measureGateways } from './measure-gateways.ts';
import { type Cores, chooseCores } from './pinning.ts';
import { type Portkey, startPortkey } from './portkey.ts';
import { type BenchProcess, startNode } from './processes.ts';
import { providerCalls } from './provider-calls.ts';
import { watchQuiet } from './quiet.ts';
import { pause } from './until.ts';

/**
 * `npm run bench:gateway`: Gatehouse beside a bare Fastify + undici proxy and beside the Portkey gateway, in the same run
 * on the same machine, with everything on that is on by default.
 *
 * The proxy under test has core 1 to itself; the load generator (this process), the simulated provider and
 * Gatehouse's PostgreSQL share core 0. All proxies live through the whole run and are loaded in turns, so that a slow
 * spell of the machine meets all. Nothing fails by time; it fails when Gatehouse's ledger lacks a call.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '64' },
    streams: { type: 'string', default: '1000' },
    'skip-gatehouse': { type: 'boolean', default: false },
    'skip-portkey': { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});

const answerTokens = 32;
const ledgerMs = 60_000;

interface Started {
  readonly simulator: BenchProcess;
  readonly bare: BenchProcess;
  readonly portkey: Portkey | undefined;
  readonly gatehouse: BenchGatehouse | undefined;
}

/** Starts everything; what was started is in `stops`, also when a later one fails. */
async function startAll(cores: Cores, stops: (() => Promise<void>)[]): Promise<Started> {
  const started = <Thing extends { stop(): Promise<void> }>(thing: Thing): Thing => {
    stops.push(() => thing.stop());
    return thing;
  };
  const program = (name: string): string => new URL(name, import.meta.url).pathname;
  const simulator = started(
    await startNode(
      program('../tools/simulator/main.ts'),
      ['--port', '0', '--fast', '--answer-tokens', String(answerTokens)],
      { core: cores.load },
    ),
  );
  const upstream = simulator.firstLine;
  const bare = started(
    await startNode(program('./bare-proxy.ts'), ['--upstream', upstream], { core: cores.tested }),
  );
  const portkey = values['skip-portkey'] ? undefined : await portkeyIfAny(upstream, cores.tested);
  if (portkey) started(portkey);
  const gatehouse = values['skip-gatehouse']
    ? undefined
    : started(await startGatehouse(upstream, { core: cores.tested, databaseCore: cores.load }));
  return { simulator, bare, portkey, gatehouse };
}

async function portkeyIfAny(upstream: string, core: number | undefined): Promise<Portkey | undefined> {
  try {
    return await startPortkey(upstream, core);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stdout.write(`The Portkey gateway is left out of this run. ${why}\n`);
    return undefined;
  }
}

function subjectsOf({ simulator, bare, portkey, gatehouse }: Started) {
  const direct: Subject = {
    name: 'direct',
    url: simulator.firstLine,
    process: simulator,
    headers: { authorization: 'Bearer sk-test' },
    model: 'gpt-4o-mini',
    databaseCpuMs: () => 0,
    tally: { replies: 0 },
  };
  const proxies: Subject[] = [
    { ...direct, name: 'bare', url: bare.firstLine, process: bare, tally: { replies: 0 } },
  ];
  if (portkey) proxies.push({ ...direct, name: 'portkey', ...portkey, tally: { replies: 0 } });
  if (gatehouse) {
    proxies.push({
      name: 'gatehouse',
      url: gatehouse.url,
      process: gatehouse.process,
      headers: { authorization: `Bearer ${gatehouse.apiKey}` },
      model: 'bench',
      databaseCpuMs: gatehouse.databaseCpuMs,
      tally: { replies: 0 },
    });
  }
  return { direct, proxies };
}

/** A benchmark of forwarding must not measure a cache: every request that was answered must have reached the provider. */
async function tellReached(simulator: BenchProcess, subjects: readonly Subject[]): Promise<void> {
  const calls = await providerCalls(simulator.firstLine);
  const answered = subjects.reduce((total, { tally }) => total + tally.replies, 0);
  process.stdout.write(
    `\nProvider: ${calls} calls reached it, those of the set-up among them; ${answered} were answered.\n`,
  );
}

/**
 * A fast gateway that forgets calls would be no gateway: every call that reached the provider through it must be in
 * its ledger, which is written in batches and so may be a moment behind.
 */
async function checkLedger(gatehouse: BenchGatehouse, sent: number): Promise<void> {
  const deadline = performance.now() + ledgerMs;
  let booked = await gatehouse.ledgerCalls([homeTenant]);
  while (booked < sent && performance.now() < deadline) {
    await pause(200);
    booked = await gatehouse.ledgerCalls([homeTenant]);
  }
  process.stdout.write(`Ledger: ${booked} calls booked of ${sent} answered.\n`);
  if (booked !== sent) process.exitCode = 1;
}

function tellMemory(subjects: readonly Subject[]): void {
  const told = subjects.map(({ name, process }) => `${name} ${process.peakMemoryMb().toFixed(0)} MiB`);
  process.stdout.write(`\nPeak memory: ${told.join(', ')}\n`);
}

async function bench(): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  try {
    const started = await startAll(chooseCores(), stops);
    const { simulator, gatehouse } = started;
    const { direct, proxies } = subjectsOf(started);
    const tellQuiet = watchQuiet(() =>
      [direct, ...proxies].reduce(
        (total, subject) => total + subject.process.cpuMs() + subject.databaseCpuMs(),
        0,
      ),
    );
    const settings = {
      rounds: Number(values.rounds),
      seconds: Number(values.seconds),
      connections: Number(values.connections),
      streams: Number(values.streams),
      answerTokens,
    };
    const figures = await measureGateways(direct, proxies, settings);
    tellQuiet();
    tellMemory(proxies);
    await tellReached(simulator, [direct, ...proxies]);
    const sent = proxies.find(({ name }) => name === 'gatehouse')?.tally.replies ?? 0;
    if (gatehouse) await checkLedger(gatehouse, sent);
    if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

await bench();
