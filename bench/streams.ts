import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { chat, type Dialect, dialects } from '../test/streams/dialects.ts';
import { ModelStream } from '../test/streams/model-stream.ts';
import { type BenchGatehouse, homeTenant, startGatehouse } from './gatehouse.ts';
import { type BenchProcess, startNode } from './processes.ts';
import { watchQuiet } from './quiet.ts';
import { queuedBytes } from './socket-queues.ts';
import { type Spread, spreadOf } from './statistics.ts';
import { describeStreams, type HeldUp } from './streams-report.ts';
import { pause } from './until.ts';

/**
 * `npm run bench:streams`: a thousand streams at once through one Gatehouse, of every dialect and from OpenAI, Anthropic and
 * Gemini alike, at the pace of a model. Some of their clients leave in the middle; some read
 * only now and then; a few of these have a provider that is as fast as it is read, and leave in the end. Nothing fails by time; it fails when a stream is not complete, or
 * when the ledger does not hold every ending once.
 */
const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '1000' },
    slow: { type: 'string', default: '100' },
    /** How many of the slow readers have a provider without a pace of its own: each fills all sockets on the way. */
    flooded: { type: 'string', default: '20' },
    leaving: { type: 'string', default: '100' },
    'chunk-delay-ms': { type: 'string', default: '100' },
    tokens: { type: 'string', default: '250' },
    json: { type: 'string' },
  },
});
const flooded = Number(values.flooded);
const slowReaders = Number(values.slow) - flooded;
const leavers = Number(values.leaving);
const streams = Number(values.streams);
const readers = streams - slowReaders - flooded - leavers;
const chunkDelayMs = Number(values['chunk-delay-ms']);
const tokens = Number(values.tokens);

/** What has no pace of its own comes first, and fills every socket on the way before the others come. */
const floodMs = 8_000;
const rampMs = 8_000;
/** Those who leave do so one after another, from a while after the last has come. */
const settleMs = 2_000;
const streamMs = tokens * chunkDelayMs;
/** A slow reader takes a piece of what has come by then, and nothing until the next time. */
const slowEveryMs = 2_000;
const sampleMs = 200;
const noticeMs = 5_000;
const ledgerMs = 30_000;

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
    ...{ url, key, dialect, model, maxTokens: 10_000, keepsText: false },
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
  readonly flooded: readonly ModelStream[];
  readonly leavers: readonly ModelStream[];
  /** When each of those who left did so, by correlation id, in milliseconds since 1970. */
  readonly leftAt: Map<string, number>;
}

async function gather(gatehouse: BenchGatehouse): Promise<Crowd> {
  const leftAt = new Map<string, number>();
  const crowd = {
    readers: [] as ModelStream[],
    slow: [] as ModelStream[],
    flooded: [] as ModelStream[],
    leavers: [] as ModelStream[],
    leftAt,
  };
  const paced = (list: ModelStream[], name: string) => (_: unknown, number: number) => () => {
    const { dialect, model } = pairs[number % pairs.length] ?? { dialect: chat, model: '' };
    const stream = ask(gatehouse, dialect, model, `${name}-${number}`);
    list.push(stream);
    return stream;
  };
  const flood = (_: unknown, number: number) => () => {
    const kind = floods[number % floods.length];
    const stream = ask(gatehouse, chat, `flood-${kind}/flood`, `flooded-reader-${number}`);
    crowd.flooded.push(stream);
    return stream;
  };
  for (const begin of Array.from({ length: flooded }, flood)) readSlowly(begin());
  await pause(floodMs);
  const begins = [
    ...Array.from({ length: readers }, paced(crowd.readers, 'steady-reader')),
    ...Array.from({ length: slowReaders }, paced(crowd.slow, 'slow-reader')),
    ...Array.from({ length: leavers }, paced(crowd.leavers, 'leaving-reader')),
  ];
  // Steps of a number that has no divisor in common with theirs go through all of them.
  const step = 7_919;
  await arrive(
    begins.map((_, at) => begins[(at * step) % begins.length] ?? (() => ask(gatehouse, chat, '', ''))),
  );
  for (const stream of crowd.slow) readSlowly(stream);
  for (const [at, stream] of crowd.leavers.entries()) {
    const { correlationId } = stream.ask;
    const leave = () => leftAt.set(correlationId, stream.leave());
    setTimeout(leave, settleMs + ((streamMs - rampMs - settleMs) * 0.8 * at) / leavers);
  }
  return crowd;
}

function readSlowly(stream: ModelStream): void {
  const takeOne = () => {
    const before = stream.bytes;
    const stop = () => stream.stall();
    stream.goOn();
    void stream.until(({ bytes }) => bytes > before).then(stop, stop);
  };
  takeOne();
  const timer = setInterval(takeOne, slowEveryMs);
  void stream.over.then(() => clearInterval(timer));
}

/** Reads what is left as fast as it comes. */
function readOn(stream: ModelStream): Promise<unknown> {
  const timer = setInterval(() => stream.goOn(), 10);
  return stream.over.then(() => clearInterval(timer));
}

async function heldUp({ flood, gatehouse }: Parties, readers: readonly ModelStream[]): Promise<HeldUp> {
  const { sent } = await floodFigures(flood);
  const ports = new Set([flood.firstLine, gatehouse.url].map((origin) => Number(new URL(origin).port)));
  const read = readers.reduce((total, { bytes }) => total + bytes, 0);
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

/** Milliseconds from leaving to notice, of those whom the provider had got to know. */
function delays(
  streams: readonly ModelStream[],
  leftAt: ReadonlyMap<string, number>,
  noticed: ReadonlyMap<string, number>,
): Spread {
  return spreadOf(
    streams.flatMap(({ ask: { correlationId } }) => {
      const at = noticed.get(correlationId);
      return at === undefined ? [] : [at - (leftAt.get(correlationId) ?? Number.NaN)];
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
async function booked(gatehouse: BenchGatehouse, crowd: Crowd): Promise<number> {
  const expected = new Map<string, string>();
  for (const { ask: asked } of [...crowd.readers, ...crowd.slow]) expected.set(asked.correlationId, 'ok');
  for (const { ask: asked } of [...crowd.flooded, ...crowd.leavers])
    expected.set(asked.correlationId, 'aborted');
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
      `${streams} streams at once, a token every ${chunkDelayMs} ms: ${readers} are read as they come, ${slowReaders} now ` +
        `and then, ${leavers} are left in the middle; ${flooded} more are read slowly from a provider without a pace\n`,
    );
    const tellQuiet = watchQuiet(
      () => paced.cpuMs() + flood.cpuMs() + gatehouse.process.cpuMs() + gatehouse.databaseCpuMs(),
    );
    const memory = [gatehouse.process.memoryMb()];
    const sampler = setInterval(() => memory.push(gatehouse.process.memoryMb()), sampleMs);
    const begun = { at: performance.now(), cpuMs: gatehouse.process.cpuMs() };
    const crowd = await gather(gatehouse);
    await pause(streamMs / 2);
    const held = await heldUp(parties, crowd.flooded);
    await Promise.all(crowd.readers.map(({ over }) => over));
    const elapsedMs = performance.now() - begun.at;
    const cpuMs = gatehouse.process.cpuMs() - begun.cpuMs;
    await Promise.all(crowd.slow.map(readOn));
    for (const stream of crowd.flooded) crowd.leftAt.set(stream.ask.correlationId, stream.leave());
    await pause(noticeMs);
    clearInterval(sampler);
    const figures = {
      memoryMb: { start: memory[0], peak: Math.max(...memory), end: memory.at(-1) },
      held,
      inTheMiddle: delays(crowd.leavers, crowd.leftAt, await abortsOf(paced)),
      flooded: delays(
        crowd.flooded,
        crowd.leftAt,
        new Map(Object.entries((await floodFigures(flood)).leftAt)),
      ),
      whole: [...crowd.readers, ...crowd.slow].filter(
        ({ said }) => said.ended && said.isWhole && said.error === null,
      ).length,
      textEventsPerSecond:
        ([...crowd.readers, ...crowd.leavers].reduce((total, { said }) => total + said.pieces, 0) * 1_000) /
        elapsedMs,
      gatehouseCpuShare: cpuMs / elapsedMs,
      booked: await booked(gatehouse, crowd),
    };
    process.stdout.write(describeStreams(figures, { streams, whole: readers + slowReaders, flooded }));
    tellQuiet();
    if (figures.whole < readers + slowReaders || figures.booked !== streams) process.exitCode = 1;
    if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figures)}\n`);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

await bench();
