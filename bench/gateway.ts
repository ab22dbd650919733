import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Comparison, compare, type Measured, type Subject } from './compare.ts';
import { type BenchGatehouse, startGatehouse } from './gatehouse.ts';
import { type BenchProcess, canPin, cpuMsOf, machineMs, pin, startNode } from './processes.ts';
import { addedMs, describe, describeAdded, describeRatios, ratiosOf } from './report.ts';
import { medianOf } from './statistics.ts';

/**
 * `npm run bench:gateway`: Gatehouse beside a bare Fastify + undici proxy, in the same run on the same machine.
 *
 * The proxy under test has core 1 to itself; the load generator (this process), the simulated provider and
 * Gatehouse's PostgreSQL share core 0. Both proxies live through the whole run and are loaded in turns, so that a slow
 * spell of the machine meets both. Nothing fails by time; it fails when Gatehouse's ledger lacks a call.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '64' },
    streams: { type: 'string', default: '1000' },
    'skip-gatehouse': { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});

const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const connections = Number(values.connections);
const streams = Number(values.streams);

const loadCore = 0;
const testedCore = 1;
const answerTokens = 32;
const chunkDelayMs = 100;
const ledgerMs = 60_000;

interface Started {
  readonly simulator: BenchProcess;
  readonly bare: BenchProcess;
  readonly gatehouse: BenchGatehouse | undefined;
}

async function measureAll(started: Started): Promise<object> {
  const { direct, proxies } = subjectsOf(started);
  const load = { connections, seconds };

  const plain = await tell(`Whole replies, ${connections} connections`, proxies, {
    load,
    stream: false,
    rounds,
  });
  process.stdout.write(describeRatios(plain));

  const streamTitle = `Streams of ${answerTokens} chunks, ${connections} connections`;
  const streamed = await tell(streamTitle, proxies, { load, stream: true, rounds });
  process.stdout.write(describeRatios(streamed));

  const slower = proxies.at(-1)?.name ?? 'bare';
  const rate = Math.floor(medianOf((plain.get(slower) ?? []).map((round) => round.repliesPerSecond)) / 2);
  const halfTitle = `Whole replies at ${rate} a second, half of what ${slower} did above`;
  const half = await tell(halfTitle, [direct, ...proxies], {
    load: { ...load, rate },
    stream: false,
    rounds,
  });
  const halfAdded = addedMs(half, 'latencyMs');
  process.stdout.write(describeAdded('time', halfAdded));

  const open = await manyStreams(started, [direct, ...proxies]);
  const openAdded = addedMs(open, 'firstByteMs');
  process.stdout.write(describeAdded('time to the first byte', openAdded));

  const measured = { plain, streamed, half, open };
  return {
    ...{ rounds, seconds, connections, streams },
    ratios: { plain: ratiosOf(plain), streamed: ratiosOf(streamed) },
    addedMs: { half: halfAdded, open: openAdded },
    measured: Object.fromEntries(
      Object.entries(measured).map(([name, map]) => [name, Object.fromEntries(map)]),
    ),
  };
}

/** Many streams at the pace of a real model, begun one after another over the length of one stream. */
async function manyStreams({ simulator }: Started, subjects: readonly Subject[]): Promise<Measured> {
  const streamSeconds = (answerTokens * chunkDelayMs) / 1_000;
  const load = { connections: streams, rampSeconds: streamSeconds, seconds: 2 * streamSeconds };
  await setPace(simulator.firstLine, { chunkDelayMs });
  const title = `${streams} streams open at once, a chunk every ${chunkDelayMs} ms`;
  const measured = await tell(title, subjects, { load, stream: true, rounds: Math.min(3, rounds) });
  await setPace(simulator.firstLine, { chunkDelayMs: 0 });
  return measured;
}

async function tell(title: string, subjects: readonly Subject[], comparison: Comparison): Promise<Measured> {
  process.stdout.write(`\n${title}\n`);
  const measured = await compare(subjects, comparison);
  process.stdout.write(describe(measured));
  return measured;
}

function subjectsOf({ simulator, bare, gatehouse }: Started): { direct: Subject; proxies: Subject[] } {
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
  if (gatehouse) {
    proxies.push({
      name: 'gatehouse',
      url: gatehouse.url,
      process: gatehouse.process,
      headers: { authorization: `Bearer ${gatehouse.apiKey}` },
      model: 'bench',
      databaseCpuMs: gatehouse.databaseCpuMs,
      tally: gatehouse.tally,
    });
  }
  return { direct, proxies };
}

async function setPace(url: string, pace: object): Promise<void> {
  const response = await fetch(`${url}/__sim/pace`, { method: 'POST', body: JSON.stringify(pace) });
  if (!response.ok) throw new Error(`The simulator refused a pace: ${await response.text()}`);
}

/**
 * A fast gateway that forgets calls would be no gateway: every call that reached the provider through it must be in
 * its ledger, which is written in batches and so may be a moment behind.
 */
async function checkLedger(gatehouse: BenchGatehouse): Promise<void> {
  const deadline = performance.now() + ledgerMs;
  const sent = gatehouse.tally.replies;
  let booked = await gatehouse.ledgerCalls();
  while (booked < sent && performance.now() < deadline) {
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    booked = await gatehouse.ledgerCalls();
  }
  process.stdout.write(`\nLedger: ${booked} calls booked of ${sent} answered.\n`);
  if (booked !== sent) process.exitCode = 1;
}

/** Tells at the end how much of the two cores went to neither side: figures of a busy machine are worth less. */
function watchQuiet({ simulator, bare, gatehouse }: Started): () => void {
  const read = () => {
    const ours = cpuMsOf(process.pid) + simulator.cpuMs() + bare.cpuMs();
    const theirs = gatehouse ? gatehouse.process.cpuMs() + gatehouse.databaseCpuMs() : 0;
    return { ...machineMs(), ours: ours + theirs, at: performance.now() };
  };
  const before = read();
  return () => {
    const after = read();
    const percent = (ms: number): string =>
      `${Math.max(0, (100 * ms) / (after.at - before.at)).toFixed(0)} %`;
    const others = after.busy - before.busy - (after.ours - before.ours);
    const stolen = after.stolen - before.stolen;
    process.stdout.write(
      `\nMeanwhile other processes used ${percent(others)} of one core, the host ${percent(stolen)}.\n`,
    );
  };
}

async function bench(): Promise<void> {
  const pinned = canPin();
  if (pinned) pin(process.pid, loadCore);
  else
    process.stdout.write(
      'taskset or a second core is missing: nothing is pinned, the ratio is only a hint.\n',
    );
  const core = (number: number): number | undefined => (pinned ? number : undefined);
  const stops: (() => Promise<void>)[] = [];
  try {
    const simulator = await startNode(
      new URL('../tools/simulator/main.ts', import.meta.url).pathname,
      ['--port', '0', '--fast', '--answer-tokens', String(answerTokens)],
      { core: core(loadCore) },
    );
    stops.push(simulator.stop);
    const bare = await startNode(
      new URL('./bare-proxy.ts', import.meta.url).pathname,
      ['--upstream', simulator.firstLine],
      { core: core(testedCore) },
    );
    stops.push(bare.stop);
    let gatehouse: BenchGatehouse | undefined;
    if (!values['skip-gatehouse']) {
      const cores = { core: core(testedCore), databaseCore: core(loadCore) };
      gatehouse = await startGatehouse(simulator.firstLine, cores);
      stops.push(gatehouse.stop);
    }
    const tellQuiet = watchQuiet({ simulator, bare, gatehouse });
    const figures = await measureAll({ simulator, bare, gatehouse });
    tellQuiet();
    process.stdout.write(`\nPeak memory: bare ${bare.peakMemoryMb().toFixed(0)} MiB`);
    if (gatehouse) process.stdout.write(`, gatehouse ${gatehouse.process.peakMemoryMb().toFixed(0)} MiB`);
    process.stdout.write('\n');
    if (gatehouse) await checkLedger(gatehouse);
    if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

await bench();
