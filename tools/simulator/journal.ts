import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FaultKind } from './faults.ts';
import type { ServedTokens } from './served.ts';
import type { Wire } from './wires.ts';

/**
 * How a call ended: `whole`, all of the answer went out (its fault may have spoiled what it says); `refused`, a
 * status of 400 or more; `broken`, the simulator itself broke it off, by a fault or because it was stopped;
 * `aborted`, the client left first.
 */
export type Ending = 'whole' | 'refused' | 'broken' | 'aborted';

/** A tool call the simulator gave out. `whole` once all of its arguments have been sent. */
export interface JournalToolCall {
  readonly id: string;
  readonly name: string;
  readonly argumentsJson: string;
  whole: boolean;
}

/** One call, as the simulator served it. Times are the injected clock's milliseconds. */
export interface JournalCall {
  readonly number: number;
  /** The provider's id of the reply (`chatcmpl-…`); null when it made none. */
  replyId: string | null;
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly wire: Wire;
  model: string | null;
  /** The last four characters of the key that came, or of the access key's id; null without one. */
  keySuffix: string | null;
  stream: boolean;
  /** Null until headers were sent. */
  status: number | null;
  /** Usage as it went out on the wire; null when none did. */
  usage: unknown;
  /** What this provider would put on its bill: the prompt and the tokens made until the call ended. */
  billed: unknown;
  /** The same bill by token class, as Gatehouse's ledger names them; null while nothing was served. */
  served: ServedTokens | null;
  /** Tool calls given out. */
  toolCalls: JournalToolCall[];
  /** Ids of the tool results that the request brought. */
  toolResults: readonly string[];
  /** Images in the request. */
  images: number;
  requestBytes: number;
  /** Start of the SHA-256 of the request's body: equal for the same request sent again. */
  requestHash: string | null;
  /** Bytes of the reply's body handed to the socket. */
  replyBytes: number;
  /** Content chunks of a stream sent so far. */
  chunks: number;
  fault: FaultKind | null;
  /** Which step of the fault schedule the call met, from 1; null when none applied to it. */
  step: number | null;
  readonly startedAt: number;
  endedAt: number | null;
  /** Null while it goes on. */
  ending: Ending | null;
  /** The client left before the reply was whole. */
  aborted: boolean;
  /** When the simulator saw that the client had left; nothing is made for it afterwards. */
  abortedAt: number | null;
  /** Request headers; credentials only as `sha256:` and 16 hexadecimal digits. */
  readonly headers: Readonly<Record<string, string>>;
  /** The request body as received, at most 64 KiB of it; only when the simulator was asked to keep bodies. */
  requestBody: string | null;
}

export interface JournalTotals {
  readonly calls: number;
  readonly streams: number;
  readonly aborted: number;
}

export interface Journal {
  /** Notes a call that has begun; the returned entry is filled in as it goes on. */
  begin(start: Pick<JournalCall, 'requestId' | 'method' | 'path' | 'headers' | 'wire'>): JournalCall;
  /** Marks how a call ended. */
  end(call: JournalCall, ending: Ending): void;
  /** Tells those who wait that a call has changed. */
  changed(): void;
  /** Counts a finished call of the fast path, which is not kept. */
  count(call: { readonly stream: boolean; readonly aborted: boolean }): void;
  /** Copies of the calls kept, oldest first. */
  calls(): JournalCall[];
  totals(): JournalTotals;
  /** Resolves with the first call that fits, now or later. Rejects when none did within `timeoutMs`. */
  waitFor(fits: (call: JournalCall) => boolean, timeoutMs?: number): Promise<JournalCall>;
  clear(): void;
}

/** A bounded journal: of more than `limit` calls it keeps the newest; the totals count all. */
export function createJournal(deps: { readonly now: () => number; readonly limit: number }): Journal {
  let kept: JournalCall[] = [];
  let calls = 0;
  let streams = 0;
  let aborted = 0;
  const waiters = new Set<() => void>();
  const changed = (): void => {
    for (const check of waiters) check();
  };
  return {
    begin(start) {
      calls += 1;
      const call: JournalCall = {
        ...blankCall,
        ...start,
        toolCalls: [],
        number: calls,
        startedAt: deps.now(),
      };
      kept.push(call);
      // Dropped in bulk, since taking single entries off the front of a long array moves all the others.
      if (kept.length >= 2 * deps.limit) kept = kept.slice(-deps.limit);
      changed();
      return call;
    },
    end(call, ending) {
      call.endedAt = deps.now();
      call.ending = ending;
      if (call.stream) streams += 1;
      if (ending === 'aborted') {
        call.aborted = true;
        call.abortedAt = call.endedAt;
        aborted += 1;
      }
      changed();
    },
    changed,
    count(call) {
      calls += 1;
      if (call.stream) streams += 1;
      if (call.aborted) aborted += 1;
    },
    calls: () => kept.slice(-deps.limit).map(copyOf),
    totals: () => ({ calls, streams, aborted }),
    waitFor(fits, timeoutMs = 4_000) {
      return new Promise((resolve, reject) => {
        const check = (): void => {
          const found = kept.find(fits);
          if (found === undefined) return;
          finish();
          resolve(copyOf(found));
        };
        const timer = setTimeout(() => {
          finish();
          reject(new Error(`No simulated call did what was waited for within ${timeoutMs} ms.`));
        }, timeoutMs);
        const finish = (): void => {
          clearTimeout(timer);
          waiters.delete(check);
        };
        waiters.add(check);
        check();
      });
    },
    clear() {
      kept = [];
      calls = 0;
      streams = 0;
      aborted = 0;
    },
  };
}

function copyOf(call: JournalCall): JournalCall {
  return { ...call, toolCalls: call.toolCalls.map((toolCall) => ({ ...toolCall })) };
}

const blankCall = {
  replyId: null,
  model: null,
  keySuffix: null,
  stream: false,
  status: null,
  usage: null,
  billed: null,
  served: null,
  toolResults: [],
  images: 0,
  requestBytes: 0,
  requestHash: null,
  replyBytes: 0,
  chunks: 0,
  fault: null,
  step: null,
  endedAt: null,
  ending: null,
  aborted: false,
  abortedAt: null,
  requestBody: null,
} as const;

const credentialHeaders = new Set(['authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'cookie']);

/** Header values fit to be kept: credentials are replaced by the start of their SHA-256. */
export function headersForJournal(headers: IncomingHttpHeaders): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    const text = Array.isArray(value) ? value.join(', ') : value;
    kept[name] = credentialHeaders.has(name) ? credentialMark(text) : text;
  }
  return kept;
}

/** `sha256:` and the first 16 hexadecimal digits: enough to tell keys apart, not to use one. */
export function credentialMark(credential: string): string {
  return `sha256:${digestOf(credential)}`;
}

/** The first 16 hexadecimal digits of a SHA-256. */
export function digestOf(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}
