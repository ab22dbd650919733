import { connect, type Socket } from 'node:net';
import { createResponseReader } from './response-reader.ts';
import { type Spread, spreadOf } from './statistics.ts';

/**
 * The load generator: raw keep-alive sockets sending one prepared request again and again. A general HTTP client
 * costs several times as much per request, and here the client shares a core with the simulated provider.
 */
export interface LoadOptions {
  /** Origin, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second, evenly spaced; without it each connection asks again as soon as it was answered. */
  readonly rate?: number;
  /** Connections begin one after another over this time, and only replies begun after it count. */
  readonly rampSeconds?: number;
}

/** Times are milliseconds. */
export interface LoadResult {
  /** Every reply with status 200, those outside the counted time among them. */
  readonly allReplies: number;
  /** Replies that ended within the counted time, by its length. */
  readonly repliesPerSecond: number;
  /** From the request (at a fixed rate: from when it was due, if it had to wait for a connection) to the last byte. */
  readonly latencyMs: Spread;
  /** From the request to the first byte of the reply's body. */
  readonly firstByteMs: Spread;
  /** Replies with another status than 200. */
  readonly refused: number;
  /** Connections that broke. */
  readonly broken: number;
}

interface Measurements {
  readonly latencies: number[];
  readonly firstBytes: number[];
  readonly countFrom: number;
  readonly countTo: number;
  allReplies: number;
  repliesInTime: number;
  refused: number;
  broken: number;
}

interface Connection {
  /** Sends the request; `since` is when it was due. */
  send(since: number): void;
  close(): void;
}

const drainMs = 10_000;

/** Runs one load and measures it. Resolves when every reply under way has ended, or 10 s after the last request. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const request = requestBytes(options);
  const rampMs = (options.rampSeconds ?? 0) * 1_000;
  const begun = performance.now();
  const ends = begun + rampMs + options.seconds * 1_000;
  const measured: Measurements = {
    ...{ latencies: [], firstBytes: [], countFrom: begun + rampMs, countTo: ends },
    ...{ allReplies: 0, repliesInTime: 0, refused: 0, broken: 0 },
  };
  let busy = 0;

  const pacing = options.rate === undefined ? undefined : createPacing(options.rate, begun, ends);
  const connections = await Promise.all(
    Array.from({ length: options.connections }, () =>
      openConnection(options.url, request, measured, answered),
    ),
  );

  function send(connection: Connection, since: number): void {
    busy += 1;
    connection.send(since);
  }

  function answered(connection: Connection): void {
    busy -= 1;
    if (pacing) pacing.free(connection, send);
    else if (performance.now() < ends) send(connection, performance.now());
  }

  if (pacing) await pacing.run(connections, send);
  else await startAll(connections, rampMs, (connection) => send(connection, performance.now()));
  while (performance.now() < ends) await delay(20);
  const finished = performance.now();
  while (busy > 0 && performance.now() < finished + drainMs) await delay(5);
  for (const connection of connections) connection.close();
  return resultOf(measured, options.seconds);
}

function resultOf(measured: Measurements, seconds: number): LoadResult {
  return {
    allReplies: measured.allReplies,
    repliesPerSecond: measured.repliesInTime / seconds,
    latencyMs: spreadOf(measured.latencies),
    firstByteMs: spreadOf(measured.firstBytes),
    refused: measured.refused,
    broken: measured.broken,
  };
}

async function startAll(
  connections: readonly Connection[],
  rampMs: number,
  start: (connection: Connection) => void,
): Promise<void> {
  const begun = performance.now();
  for (const [index, connection] of connections.entries()) {
    const startAt = begun + (index / connections.length) * rampMs;
    if (performance.now() < startAt) await delay(startAt - performance.now());
    start(connection);
  }
}

/**
 * Requests at a fixed rate, whether or not earlier ones were answered: every millisecond those that are due go out on
 * free connections. One that finds none free waits, and its time counts from when it was due, so that a stall is not
 * hidden by having sent less during it.
 */
function createPacing(rate: number, begun: number, ends: number) {
  const free: Connection[] = [];
  const waitingSince: number[] = [];
  let sent = 0;
  return {
    free(connection: Connection, send: (connection: Connection, since: number) => void): void {
      const since = waitingSince.shift();
      if (since === undefined) free.push(connection);
      else send(connection, since);
    },
    async run(connections: readonly Connection[], send: (connection: Connection, since: number) => void) {
      free.push(...connections);
      for (let now = performance.now(); now < ends; now = performance.now()) {
        const due = Math.floor(((now - begun) / 1_000) * rate);
        for (; sent < due; sent += 1) {
          const connection = free.pop();
          if (connection) send(connection, now);
          else waitingSince.push(now);
        }
        await delay(1);
      }
      waitingSince.length = 0;
    },
  };
}

function openConnection(
  url: string,
  request: Buffer,
  measured: Measurements,
  answered: (connection: Connection) => void,
): Promise<Connection> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let since = 0;
    let waiting = false;
    let counts = false;
    const socket: Socket = connect({ host: hostname, port: Number(port), noDelay: true });
    const reader = createResponseReader({
      bodyBegan: () => {
        if (counts) measured.firstBytes.push(performance.now() - since);
      },
      ended: (status) => {
        waiting = false;
        if (status === 200) note(measured, since);
        else measured.refused += 1;
        answered(connection);
      },
    });
    const connection: Connection = {
      send(startedAt) {
        since = startedAt;
        waiting = true;
        counts = startedAt >= measured.countFrom;
        socket.write(request);
      },
      close: () => socket.destroy(),
    };
    socket.on('data', (bytes: Buffer) => reader.push(bytes));
    socket.once('connect', () => resolve(connection));
    socket.on('error', reject);
    socket.on('close', () => {
      // A connection that breaks in the middle of a reply is counted, and not replaced: it is a failure to report.
      if (waiting) measured.broken += 1;
    });
  });
}

function note(measured: Measurements, since: number): void {
  const now = performance.now();
  measured.allReplies += 1;
  if (now >= measured.countFrom && now <= measured.countTo) measured.repliesInTime += 1;
  if (since >= measured.countFrom) measured.latencies.push(now - since);
}

function requestBytes({ url, path, headers, body }: LoadOptions): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = Buffer.byteLength(body);
  const head = `POST ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n`;
  return Buffer.from(`${head}${lines.join('')}\r\n${body}`);
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
