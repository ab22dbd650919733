import { openConnection, requestBytes } from './connection.ts';
import { type Spread, spreadOf } from './statistics.ts';
import { pause } from './until.ts';

/** Stands in a body where each request gets a number of its own, so that no answer can come from a cache. */
export const numberMark = '00000000';

/** The load generator: connections that send one prepared request again and again, with another number each time. */
export interface LoadOptions {
  /** Origin, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON; may hold `numberMark`. */
  readonly body: string;
  /** The number of the next request, counted on here. */
  readonly numbering: { next: number };
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
  /** From the request to the first text that the model wrote. */
  readonly firstTokenMs: Spread;
  /** Replies with another status than 200. */
  readonly refused: number;
  /** Connections that broke. */
  readonly broken: number;
}

interface Measurements {
  readonly latencies: number[];
  readonly firstTokens: number[];
  readonly countFrom: number;
  readonly countTo: number;
  allReplies: number;
  repliesInTime: number;
  refused: number;
  broken: number;
}

/** One connection under load. */
interface Asker {
  /** Sends the request; `since` is when it was due. */
  send(since: number): void;
  close(): void;
}

const drainMs = 10_000;

/** Runs one load and measures it. Resolves when every reply under way has ended, or 10 s after the last request. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const request = requestBytes({ method: 'POST', ...options });
  const rampMs = (options.rampSeconds ?? 0) * 1_000;
  const begun = performance.now();
  const ends = begun + rampMs + options.seconds * 1_000;
  const measured: Measurements = {
    ...{ latencies: [], firstTokens: [], countFrom: begun + rampMs, countTo: ends },
    ...{ allReplies: 0, repliesInTime: 0, refused: 0, broken: 0 },
  };
  let busy = 0;

  const pacing = options.rate === undefined ? undefined : createPacing(options.rate, begun, ends);
  const askers = await Promise.all(
    Array.from({ length: options.connections }, () => openAsker(options, request, measured, answered)),
  );

  function send(asker: Asker, since: number): void {
    busy += 1;
    asker.send(since);
  }

  function answered(asker: Asker): void {
    busy -= 1;
    if (pacing) pacing.free(asker, send);
    else if (performance.now() < ends) send(asker, performance.now());
  }

  if (pacing) await pacing.run(askers, send);
  else await startAll(askers, rampMs, (asker) => send(asker, performance.now()));
  while (performance.now() < ends) await pause(20);
  const finished = performance.now();
  while (busy > 0 && performance.now() < finished + drainMs) await pause(5);
  for (const asker of askers) asker.close();
  return resultOf(measured, options.seconds);
}

function resultOf(measured: Measurements, seconds: number): LoadResult {
  return {
    allReplies: measured.allReplies,
    repliesPerSecond: measured.repliesInTime / seconds,
    latencyMs: spreadOf(measured.latencies),
    firstTokenMs: spreadOf(measured.firstTokens),
    refused: measured.refused,
    broken: measured.broken,
  };
}

async function startAll(
  askers: readonly Asker[],
  rampMs: number,
  start: (asker: Asker) => void,
): Promise<void> {
  const begun = performance.now();
  for (const [index, asker] of askers.entries()) {
    const startAt = begun + (index / askers.length) * rampMs;
    const wait = startAt - performance.now();
    if (wait > 0) await pause(wait);
    start(asker);
  }
}

/**
 * Requests at a fixed rate, whether or not earlier ones were answered: every millisecond those that are due go out on
 * free connections. One that finds none free waits, and its time counts from when it was due, so that a stall is not
 * hidden by having sent less during it.
 */
function createPacing(rate: number, begun: number, ends: number) {
  const free: Asker[] = [];
  const waitingSince: number[] = [];
  let sent = 0;
  return {
    free(asker: Asker, send: (asker: Asker, since: number) => void): void {
      const since = waitingSince.shift();
      if (since === undefined) free.push(asker);
      else send(asker, since);
    },
    async run(askers: readonly Asker[], send: (asker: Asker, since: number) => void) {
      free.push(...askers);
      for (let now = performance.now(); now < ends; now = performance.now()) {
        const due = Math.floor(((now - begun) / 1_000) * rate);
        for (; sent < due; sent += 1) {
          const asker = free.pop();
          if (asker) send(asker, now);
          else waitingSince.push(now);
        }
        await pause(1);
      }
      waitingSince.length = 0;
    },
  };
}

async function openAsker(
  { url, numbering }: LoadOptions,
  request: Buffer,
  measured: Measurements,
  answered: (asker: Asker) => void,
): Promise<Asker> {
  // Its own copy: the number in it changes only once the request before has been answered.
  const bytes = Buffer.from(request);
  const numberAt = bytes.indexOf(numberMark);
  let since = 0;
  let counts = false;
  const connection = await openConnection(url, {
    firstToken() {
      if (counts) measured.firstTokens.push(performance.now() - since);
    },
    ended(status) {
      if (status === 200) note(measured, since);
      else measured.refused += 1;
      answered(asker);
    },
    broke(waiting) {
      // It is not replaced: a connection that breaks in the middle of a reply is a failure to report.
      if (waiting) measured.broken += 1;
    },
  });
  const asker: Asker = {
    send(startedAt) {
      since = startedAt;
      counts = startedAt >= measured.countFrom;
      if (numberAt >= 0) bytes.write(String(numbering.next++).padStart(8, '0'), numberAt, 8, 'latin1');
      connection.send(bytes);
    },
    close: connection.close,
  };
  return asker;
}

function note(measured: Measurements, since: number): void {
  const now = performance.now();
  measured.allReplies += 1;
  if (now >= measured.countFrom && now <= measured.countTo) measured.repliesInTime += 1;
  if (since >= measured.countFrom) measured.latencies.push(now - since);
}
