import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JournalCall } from '../tools/simulator/journal.ts';
import type { Simulator } from '../tools/simulator/server.ts';
import { testAdminKey } from './harness/server.ts';
import { chat, type Dialect, dialects, messages, responses } from './streams/dialects.ts';
import { type Booked, type Ending, endings, stops } from './streams/endings.ts';
import { type House, type Kind, kindNames, kinds, openHouse, textAtOnce } from './streams/house.ts';
import type { ModelStream } from './streams/model-stream.ts';
import { readSilence, type SilenceSeen } from './streams/official-clients.ts';

/** Streams of every dialect from every kind of provider through a whole server: however they end, the books know it. */
const pairs = dialects.flatMap((dialect) => kindNames.map((kind) => ({ dialect, kind })));

/** A busy machine takes its time; nothing is asserted about it. */
const patienceMs = 30_000;

let house: House;
/** As fast as they can be read; with many words; with pauses; with a pause that is longer than the one between heartbeats. */
let quick: Simulator;
let paced: Simulator;
let drowsy: Simulator;
/** What the ledger is to say, by correlation id; and who served the call. */
const expected = new Map<string, { booked: Booked; simulator: Simulator }>();
let heartbeats: Promise<SilenceSeen[]>;

beforeAll(async () => {
  house = await openHouse({ GATEHOUSE_SHUTDOWN_SECONDS: '2' });
  quick = await house.simulator({});
  paced = await house.simulator({ chunkDelayMs: 20, answerTokens: 60 });
  drowsy = await house.simulator({ chunkDelayMs: 17_000, answerTokens: 1 });
  for (const kind of kindNames) await house.provider(`drowsy-${kind}`, kind, drowsy);
  heartbeats = Promise.all(
    pairs.map(({ dialect, kind }) => {
      const id = `heartbeat-${dialect.name}-${kind}`;
      expected.set(id, { booked: ok, simulator: drowsy });
      return readSilence(house.server().url, dialect.name, `drowsy-${kind}/${kinds[kind].model}`, id);
    }),
  );
  // Looked at by its own test, which comes later.
  heartbeats.catch(() => {});
});
afterAll(() => house.stop());

describe('a slow reader of a long stream', () => {
  const cases = [
    { dialect: chat, kind: 'openai', tokens: 130_000 },
    { dialect: chat, kind: 'anthropic', tokens: 100_000 },
    { dialect: responses, kind: 'gemini', tokens: 50_000 },
  ] as const;

  it.each(cases)('holds $kind back in the dialect $dialect.name, and loses nothing', async (one) => {
    const { simulator, stream, held } = await stallIn(`slow-${one.dialect.name}-${one.kind}`, one, ok);
    stream.goOn();
    expect(await stream.over).toBe('whole');
    expect(stream.said).toMatchObject({ ended: true, error: null, isWhole: true });
    const call = house.journalOf(simulator, stream.ask.correlationId);
    // Little more than the kernel takes on the way from socket to socket had left the provider.
    expect(held.replyBytes).toBeLessThan(call?.replyBytes ?? 0);
    // Compared first: nobody wants to read the difference of two such texts.
    expect(stream.said.text() === (await textAtOnce(house.urlOf(simulator), call))).toBe(true);
  });

  it('and all of them together take little memory', () => {
    // Some 90 MB came from providers and 110 MB went to readers; most of the growth is code that was compiled.
    expect(house.memoryMb() - memoryBefore).toBeLessThan(192);
  });

  it.each([
    { dialect: chat, kind: 'openai', tokens: 110_000 },
    { dialect: messages, kind: 'gemini', tokens: 80_000 },
  ] as const)('may leave: $kind in the dialect $dialect.name is told at once', async (one) => {
    const { simulator, stream } = await stallIn(`left-${one.dialect.name}-${one.kind}`, one, aborted);
    stream.leave();
    await simulator.waitForCall(({ aborted }) => aborted, patienceMs);
  });

  let memoryBefore = 0;
  beforeAll(() => {
    memoryBefore = house.memoryMb();
  });

  interface Long {
    readonly dialect: Dialect;
    readonly kind: Kind;
    readonly tokens: number;
  }

  /** A client that reads a little and then nothing, until its provider has to wait. */
  async function stallIn(id: string, { dialect, kind, tokens }: Long, booked: Booked) {
    const simulator = await house.simulator({ answerTokens: tokens });
    const provider = (await house.provider(id, kind, simulator)).split('/')[0];
    // Unknown, so without a bound of its own on its answers; and with a name that makes every event of them long.
    const model = `${provider}/a-model-of-many-words-${'x'.repeat(120)}`;
    const stream = begin(id, dialect, model, simulator, booked, tokens);
    await stream.until(({ said }) => said.pieces > 0);
    stream.stall();
    const held = await haltOf(simulator, id);
    expect(held.ending).toBeNull();
    return { simulator, stream, held };
  }
});

describe('200 streams at once', () => {
  it('each is complete, and its own', async () => {
    const names = new Map<string, string>();
    for (const { kind } of pairs) {
      if (!names.has(kind)) names.set(kind, await house.provider(`many-${kind}`, kind, paced));
    }
    const streams = Array.from({ length: 200 }, (_, number) => {
      const { dialect, kind } = pairs[number % pairs.length] ?? { dialect: chat, kind: 'openai' };
      return begin(`many-${number}-${dialect.name}-${kind}`, dialect, names.get(kind) ?? '', paced, ok);
    });
    const texts = new Set<string>();
    for (const stream of streams) {
      expect(await stream.over).toBe('whole');
      expect(stream.said, stream.body).toMatchObject({ ended: true, error: null, isWhole: true });
      const call = house.journalOf(paced, stream.ask.correlationId);
      expect(stream.said.text()).toBe(await textAtOnce(house.urlOf(paced), call));
      texts.add(stream.said.text());
    }
    expect(texts.size).toBe(streams.length);
  });
});

describe('every ending', () => {
  it('is seen by the client as its dialect says it, and by the provider', async () => {
    await Promise.all((await beginAll(endings)).map(seeItEnd));
  });

  it('is one of a client that closes its half of the connection', async () => {
    quick.setFault({ kind: 'hang-mid-stream', afterChunks: 4, key: 'half' });
    const model = await house.provider('half', 'openai', quick);
    const { path, body } = chat.request(model, 'This is half.', 4_000);
    const text = JSON.stringify({ ...body, stream: true });
    const { port } = new URL(house.server().url);
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${testAdminKey}\r\n` +
        `content-type: application/json\r\nx-correlation-id: half-closed\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
    );
    let got = '';
    await new Promise<void>((resolve) => {
      socket.on('data', (part) => {
        got += part;
        if (got.split('"content":').length > 4) resolve();
      });
    });
    socket.end();
    await new Promise((resolve) => socket.once('close', resolve));
    await callOf(quick, 'half-closed', ({ aborted }) => aborted);
    expected.set('half-closed', { booked: aborted, simulator: quick });
  });
});

describe('a silent stream', () => {
  it('has heartbeats in every dialect, which the official clients skip', async () => {
    for (const { id, comments, text } of await heartbeats) {
      expect({ id, text, beats: comments > 0 }).toEqual({ id, text: 'You', beats: true });
    }
  });
});

describe('a server that is told to stop', () => {
  it('lets streams finish that can, and ends the others with an error that their clients can read', async () => {
    const begun = await beginAll(stops);
    await Promise.all(begun.map(({ stream }) => stream.until(({ said }) => said.pieces >= 4)));
    const stopped = house.server().stop();
    await Promise.all(begun.map(seeItEnd));
    expect(await stopped).toBe(0);
    await house.startAgain();
  });

  it('has booked every stream of this story once, with what its provider counted', async () => {
    const rows = await house.ledger();
    const sums = { ledger: 0, journal: 0 };
    for (const [id, { booked, simulator }] of expected) {
      expect(rows.get(id)?.length, id).toBe(1);
      const row = rows.get(id)?.[0];
      expect({ ...row, id }).toMatchObject({ id, ...booked, streamed: true, final: true });
      if (!row) continue;
      const served = house.journalOf(simulator, id)?.served;
      if (booked.estimated) continue;
      sums.ledger += row.input_tokens + row.output_tokens;
      sums.journal += (served?.inputTokens ?? 0) + (served?.outputTokens ?? 0);
    }
    expect(sums.ledger).toBe(sums.journal);
    expect(rows.size).toBe(expected.size);
  });
});

const ok: Booked = { status: 'ok', error_code: null, estimated: false };
const aborted: Booked = { status: 'aborted', error_code: 'client_gone', estimated: true };

/** Asks, and notes what is to be booked of it. */
function begin(
  id: string,
  dialect: Dialect,
  model: string,
  simulator: Simulator,
  booked: Booked,
  maxTokens?: number,
): ModelStream {
  expected.set(id, { booked, simulator });
  return house.open(dialect, model, id, maxTokens);
}

interface Begun {
  readonly ending: Ending;
  readonly stream: ModelStream;
  readonly simulator: Simulator;
}

/** Every ending for every pair of dialect and provider, each with a provider of its own. */
async function beginAll(all: readonly Ending[]): Promise<Begun[]> {
  const named = all.flatMap((ending) =>
    pairs.filter(ending.happensTo ?? (() => true)).map(({ dialect, kind }) => ({
      ending,
      dialect,
      kind,
      id: `${ending.name}-${dialect.name}-${kind}`,
    })),
  );
  quick.setFault(
    named.flatMap(({ ending, id }) => (ending.fault ? [{ ...ending.fault, key: `test-${id}` }] : [])),
  );
  const begun: Begun[] = [];
  for (const { ending, dialect, kind, id } of named) {
    const simulator = ending.paced ? paced : quick;
    const model = await house.provider(id, kind, simulator, { timeouts: ending.timeouts });
    const stream = begin(id, dialect, model, simulator, ending.booked);
    begun.push({ ending, simulator, stream });
  }
  return begun;
}

async function seeItEnd({ ending, stream, simulator }: Begun): Promise<void> {
  const id = stream.ask.correlationId;
  if (ending.seen === 'nothing') {
    await callOf(simulator, id);
    await ending.act?.(stream);
    stream.leave();
    await callOf(simulator, id, ({ aborted }) => aborted);
    return;
  }
  expect(await stream.over, id).toBe('whole');
  const { said, status, body } = stream;
  const told = status === 200 ? said.error : body;
  if (ending.seen === 'error') expect(told, id).toContain('"message"');
  else
    expect({ id, told, ended: said.ended, whole: said.isWhole }).toEqual({
      id,
      told: null,
      ended: true,
      whole: true,
    });
}

/** The simulator's note of a call, once it has it and it is so. */
function callOf(simulator: Simulator, id: string, isSo: (call: JournalCall) => boolean = () => true) {
  return simulator.waitForCall((call) => call.headers['x-correlation-id'] === id && isSo(call), patienceMs);
}

/** Waits until the provider sends no more. @returns its call as it is then. */
async function haltOf(simulator: Simulator, id: string) {
  let before = -1;
  await expect
    .poll(
      () => {
        const sent = house.journalOf(simulator, id)?.replyBytes ?? 0;
        const halted = sent > 0 && sent === before;
        before = sent;
        return halted;
      },
      { interval: 300, timeout: patienceMs },
    )
    .toBe(true);
  const call = house.journalOf(simulator, id);
  if (!call) throw new Error(`no call ${id}`);
  return call;
}
