import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { chat, type Dialect, dialects } from '../test/streams/dialects.ts';
import { ModelStream } from '../test/streams/model-stream.ts';
import { type BenchGatehouse, homeTenant, startGatehouse } from './gatehouse.ts';
import { type BenchProcess, startNode } from './processes.ts';
import { watchQuiet } from './quiet.ts';
import { queuedBytes } from './socket-queues.ts';
import { type Spread, spreadOf } from './statistics.ts';
import { pause } from './until.ts';

/**
 * `npm run bench:streams`: a thousand streams at once through one Gatehouse, of every dialect and from OpenAI, Anthropic and
 * Gemini alike, at the pace of a model. Some of their clients leave in the middle; others cannot keep up with a provider
 * that is as fast as it is read, and leave in the end. Nothing fails by time; it fails when a stream is not complete, or
 * when the ledger does not hold every ending once.
 */
const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '1000' },
    slow: { type: 'string', default: '100' },
    leaving: { type: 'string', default: '100' },
    'chunk-delay-ms': { type: 'string', default: '100' },
    tokens: { type: 'string', default: '250' },
    json: { type: 'string' },
  },
});
const slowReaders = Number(values.slow);
const leavers = Number(values.leaving);
const readers = Number(values.streams) - slowReaders - leavers;
const chunkDelayMs = Number(values['chunk-delay-ms']);
const tokens = Number(values.tokens);

const rampMs = 5_000;
const streamMs = tokens * chunkDelayMs;
/** A slow reader takes what has come by then, and nothing until the next time. */
const slowEveryMs = 1_000;
const sampleMs = 200;
const noticeMs = 5_000;
const ledgerMs = 30_000;
const mib = 1024 * 1024;

const kinds = {
  openai: { model: 'gpt-4o-mini', path: '/v1' },
  anthropic: { model: 'claude-sonnet-4-5', path: '/v1' },
  gemini: { model: 'gemini-2.5-flash', path: '/v1beta' },
} as const;
type Kind = keyof typeof kinds;
const pairs = dialects.flatMap((dialect) =>
  (Object.keys(kinds) as Kind[]).map((kind) => ({ dialect, model: `paced-${kind}/${kinds[kind].model}` })),
);
/** As it came, and translated. */
const floods = ['openai', 'anthropic'] as const;

interface Parties {
  readonly paced: BenchProcess;
  readonly flood: BenchProcess;
  readonly gatehouse: BenchGatehouse;
}

async function setUp({ paced, flood, gatehouse }: Parties): Promise<void> {
  const add = (name: string, kind: Kind, origin: string) =>
    gatehouse.api(null, 'POST', 'providers', {
      ...{ name, kind, base_url: origin + kinds[kind].path, api_key: 'sk-test' },
    });
  for (const kind of Object.keys(kinds) as Kind[]) await add(`paced-${kind}`, kind, paced.firstLine);
  for (const kind of floods) await add(`flood-${kind}`, kind, flood.firstLine);
}

function ask(gatehouse: BenchGatehouse, dialect: Dialect, model: string, id: string): ModelStream {
  const { url, apiKey: key } = gatehouse;
  return new ModelStream({
    ...{ url, key, dialect, model, maxTokens: 10_000 },
    ...{ content: `This is ${id}.`, correlationId: id },
  });
}

/** Asks one after another over `rampMs`, in the order of a fixed shuffle, so that all kinds come mixed. */
async function arrive(begins: readonly (() => ModelStream)[]): Promise<ModelStream[]> {
  const all: ModelStream[] = [];
  const begun = performance.now();
  for (const [index, begin] of begins.entries()) {
    const dueMs = (index / begins.length) * rampMs - (performance.now() - begun);
    if (dueMs > 0) await pause(dueMs);
    all.push(begin());
  }
  return all;
}

interface Crowd {
  readonly readers: readonly ModelStream[];
  readonly slow: readonly ModelStream[];
  readonly leavers: readonly ModelStream[];
  /** When each of those who left did so, by correlation id, in milliseconds since 1970. */
  readonly leftAt: Map<string, number>;
}

async function gather(gatehouse: BenchGatehouse): Promise<Crowd> {
  const leftAt = new Map<string, number>();
  const crowd = {
    readers: [] as ModelStream[],
    slow: [] as ModelStream[],
    leavers: [] as ModelStream[],
    leftAt,
  };
  const ofPair = (list: ModelStream[], name: string) => (_: unknown, number: number) => () => {
    const { dialect, model } = pairs[number % pairs.length] ?? { dialect: chat, model: '' };
    const stream = ask(gatehouse, dialect, model, `${name}-${number}`);
    list.push(stream);
    return stream;
  };
  const slow = (_: unknown, number: number) => () => {
    const kind = floods[number % floods.length];
    const stream = ask(gatehouse, chat, `flood-${kind}/flood`, `slow-${number}`);
    crowd.slow.push(stream);
    readSlowly(stream);
    return stream;
  };
  const begins = [
    ...Array.from({ length: readers }, ofPair(crowd.readers, 'reader')),
    ...Array.from({ length: leavers }, ofPair(crowd.leavers, 'leaver')),
    ...Array.from({ length: slowReaders }, slow),
  ];
  // Steps of a number that has no divisor in common with theirs go through all of them.
  const step = 7_919;
  await arrive(
    begins.map((_, at) => begins[(at * step) % begins.length] ?? (() => ask(gatehouse, chat, '', ''))),
  );
  for (const [at, stream] of crowd.leavers.entries()) {
    const { correlationId } = stream.ask;
    const leave = () => leftAt.set(correlationId, stream.leave());
    setTimeout(leave, ((streamMs - rampMs) * 0.6 * (at + 1)) / leavers);
  }
  return crowd;
}

function readSlowly(stream: ModelStream): void {
  const stop = () => stream.stall();
  void stream.until(({ bytes }) => bytes > 0).then(stop, stop);
  const timer = setInterval(() => {
    stream.goOn();
    setImmediate(stop);
  }, slowEveryMs);
  void stream.over.then(() => clearInterval(timer));
}

/** What slow readers hold up, where it can be seen from outside. Bytes. */
interface HeldUp {
  readonly sent: number;
  readonly read: number;
  readonly inKernel: number;
}

async function heldUp({ flood, gatehouse }: Parties, slow: readonly ModelStream[]): Promise<HeldUp> {
  const { sent } = await floodFigures(flood);
  const ports = new Set([flood.firstLine, gatehouse.url].map((origin) => Number(new URL(origin).port)));
  const read = slow.reduce((total, { bytes }) => total + bytes, 0);
  return { sent, read, inKernel: queuedBytes(ports) };
}

async function floodFigures(flood: BenchProcess) {
  const response = await fetch(`${flood.firstLine}/figures`);
  return (await response.json()) as { sent: number; leftAt: Record<string, number> };
}

/** When the paced provider noticed that a client had left, by correlation id. */
async function abortsOf(paced: BenchProcess): Promise<Map<string, number>> {
  const response = await fetch(`${paced.firstLine}/__sim/journal?limit=10000`);
  const { calls } = (await response.json()) as {
    calls: { headers: Record<string, string>; abortedAt: number | null }[];
  };
  return new Map(
    calls.flatMap(({ headers, abortedAt }) =>
      abortedAt === null ? [] : [[headers['x-correlation-id'] ?? '', abortedAt] as const],
    ),
  );
}

/** Milliseconds from leaving to notice. @throws Error when one was not noticed at all. */
function delays(
  streams: readonly ModelStream[],
  leftAt: ReadonlyMap<string, number>,
  noticed: ReadonlyMap<string, number>,
): Spread {
  return spreadOf(
    streams.map(({ ask: { correlationId } }) => {
      const at = noticed.get(correlationId);
      if (at === undefined) throw new Error(`Nobody noticed that ${correlationId} had left.`);
      return at - (leftAt.get(correlationId) ?? Number.NaN);
    }),
  );
}

interface LedgerRow {
  readonly correlation_id: string;
  readonly status: string;
  readonly estimated: boolean;
}

async function ledgerRows(gatehouse: BenchGatehouse): Promise<LedgerRow[]> {
  const rows: LedgerRow[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query = `costs/ledger?limit=200${cursor && `&cursor=${cursor}`}`;
    const page = (await gatehouse.api(homeTenant, 'GET', query)) as {
      calls: LedgerRow[];
      next_cursor: string | null;
    };
    rows.push(...page.calls);
    cursor = page.next_cursor;
  }
  return rows;
}

/** The ledger is written in batches and so may be a moment behind. @returns how many rows say what they should. */
async function booked(
  gatehouse: BenchGatehouse,
  { readers: whole, slow, leavers: left }: Crowd,
): Promise<number> {
  const expected = new Map<string, string>();
  for (const { ask: asked } of whole) expected.set(asked.correlationId, 'ok');
  for (const { ask: asked } of [...slow, ...left]) expected.set(asked.correlationId, 'aborted');
  const deadline = performance.now() + ledgerMs;
  for (;;) {
    const rows = (await ledgerRows(gatehouse)).filter(({ correlation_id: id }) => expected.has(id));
    const ids = new Set(rows.map(({ correlation_id: id }) => id));
    if (ids.size === expected.size || performance.now() > deadline) {
      if (rows.length !== ids.size) return Number.NaN;
      return rows.filter(
        ({ correlation_id: id, status, estimated }) =>
          status === expected.get(id) && estimated === (status === 'aborted'),
      ).length;
    }
    await pause(500);
  }
}

async function bench(): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  const program = (path: string) => new URL(path, import.meta.url).pathname;
  try {
    const paced = await startNode(
      program('../tools/simulator/main.ts'),
      ['--port', '0', '--answer-tokens', String(tokens), '--chunk-delay-ms', String(chunkDelayMs)],
      { core: undefined },
    );
    stops.push(paced.stop);
    const flood = await startNode(program('./flood.ts'), [], { core: undefined });
    stops.push(flood.stop);
    const gatehouse = await startGatehouse(paced.firstLine, { core: undefined, databaseCore: undefined });
    stops.push(gatehouse.stop);
    const parties = { paced, flood, gatehouse };
    await setUp(parties);
    process.stdout.write(
      `${readers + slowReaders + leavers} streams at once: ${readers} are read to their end, a token every ` +
        `${chunkDelayMs} ms; ${leavers} are left in the middle; ${slowReaders} are read slowly\n`,
    );
    const tellQuiet = watchQuiet(
      () => paced.cpuMs() + flood.cpuMs() + gatehouse.process.cpuMs() + gatehouse.databaseCpuMs(),
    );
    const memory = [gatehouse.process.memoryMb()];
    const sampler = setInterval(() => memory.push(gatehouse.process.memoryMb()), sampleMs);
    const begun = { at: performance.now(), cpuMs: gatehouse.process.cpuMs() };
    const crowd = await gather(gatehouse);
    await pause(streamMs / 2);
    const held = await heldUp(parties, crowd.slow);
    await Promise.all(crowd.readers.map(({ over }) => over));
    const elapsedMs = performance.now() - begun.at;
    const cpuMs = gatehouse.process.cpuMs() - begun.cpuMs;
    for (const stream of crowd.slow) crowd.leftAt.set(stream.ask.correlationId, stream.leave());
    await pause(noticeMs);
    clearInterval(sampler);
    const figures = {
      memoryMb: { start: memory[0], peak: Math.max(...memory), end: memory.at(-1) },
      held,
      inTheMiddle: delays(crowd.leavers, crowd.leftAt, await abortsOf(paced)),
      slow: delays(crowd.slow, crowd.leftAt, new Map(Object.entries((await floodFigures(flood)).leftAt))),
      whole: crowd.readers.filter(({ said }) => said.ended && said.isWhole && said.error === null).length,
      textEventsPerSecond:
        ([...crowd.readers, ...crowd.leavers].reduce((total, { said }) => total + said.pieces, 0) * 1_000) /
        elapsedMs,
      gatehouseCpuShare: cpuMs / elapsedMs,
      booked: await booked(gatehouse, crowd),
    };
    tell(figures);
    tellQuiet();
    if (figures.whole < readers || figures.booked !== readers + slowReaders + leavers) process.exitCode = 1;
    if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figures)}\n`);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

interface Figures {
  readonly memoryMb: {
    readonly start: number | undefined;
    readonly peak: number;
    readonly end: number | undefined;
  };
  readonly held: HeldUp;
  readonly inTheMiddle: Spread;
  readonly slow: Spread;
  readonly whole: number;
  readonly textEventsPerSecond: number;
  readonly gatehouseCpuShare: number;
  readonly booked: number;
}

function tell({ memoryMb, held, inTheMiddle, slow, ...rest }: Figures): void {
  const mb = (bytes: number): string => `${(bytes / mib).toFixed(0)} MiB`;
  const delay = ({ p50, p99, max }: Spread): string => `p50 ${p50}, p99 ${p99}, max ${max}`;
  const { start = Number.NaN, peak, end = Number.NaN } = memoryMb;
  process.stdout.write(
    `\n  Memory of Gatehouse: ${start.toFixed(0)} MiB at the start, ${peak.toFixed(0)} at most, ${end.toFixed(0)} at the end\n` +
      `  For slow readers ${mb(held.sent)} had left the provider: they had read ${mb(held.read)}, the kernel held ` +
      `${mb(held.inKernel)}, all processes together ${mb(held.sent - held.read - held.inKernel)}\n` +
      `  From a client's leaving to the provider's notice, ms: in the middle ${delay(inTheMiddle)}; slow readers ${delay(slow)}\n` +
      `  Streams read to their end: ${rest.whole} of ${readers}; ${rest.textEventsPerSecond.toFixed(0)} events with text a second, ` +
      `Gatehouse took ${(100 * rest.gatehouseCpuShare).toFixed(0)} % of a core\n` +
      `  Ledger: ${rest.booked} endings booked once and rightly of ${readers + slowReaders + leavers}\n`,
  );
}

await bench();
