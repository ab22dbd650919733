import type { FaultInput } from '../../tools/simulator/faults.ts';
import type { Dialect } from './dialects.ts';
import type { Kind, LedgerRow } from './house.ts';
import type { ModelStream } from './model-stream.ts';

/** What the ledger is to say of a call. */
export type Booked = Pick<LedgerRow, 'status' | 'error_code' | 'estimated'>;

/** One way in which a stream ends. */
export interface Ending {
  readonly name: string;
  /** What the provider does. */
  readonly fault?: Omit<FaultInput, 'key'>;
  /** Its answers take their time. */
  readonly paced?: boolean;
  /** What Gatehouse is told of it. */
  readonly timeouts?: object;
  /** What the client does, from when it has asked. */
  readonly act?: (stream: ModelStream) => Promise<void>;
  /** How the client sees it end: as it wants, with an error it can read, or not at all, because it has left. */
  readonly seen: 'end' | 'error' | 'nothing';
  /** Whether it can happen to this pair; to every one when absent. */
  readonly happensTo?: (pair: { readonly dialect: Dialect; readonly kind: Kind }) => boolean;
  readonly booked: Booked;
}

const ok = { status: 'ok', error_code: null, estimated: false };
const aborted = { status: 'aborted', error_code: 'client_gone', estimated: true };
const failed = { status: 'error', error_code: 'upstream_failed', estimated: true };
const timedOut = { status: 'timeout', error_code: 'upstream_timeout', estimated: true };

const afterChunks = 4;

/** Ends by what the provider, the client or the clock does. */
export const endings: readonly Ending[] = [
  { name: 'finish', seen: 'end', booked: ok },
  {
    name: 'no-usage',
    fault: { kind: 'no-usage' },
    // Anthropic begins every message with usage; without it, there is nothing that could be translated.
    happensTo: ({ dialect, kind }) => kind !== 'anthropic' || dialect.name === 'messages',
    seen: 'end',
    booked: { ...ok, estimated: true },
  },
  { name: 'error-event', fault: { kind: 'error-event', afterChunks }, seen: 'error', booked: failed },
  { name: 'cut', fault: { kind: 'cut-mid-stream', afterChunks }, seen: 'error', booked: failed },
  { name: 'reset', fault: { kind: 'reset-mid-stream', afterChunks }, seen: 'error', booked: failed },
  { name: 'half-close', fault: { kind: 'half-close', afterChunks }, seen: 'error', booked: failed },
  {
    name: 'idle',
    fault: { kind: 'hang-mid-stream', afterChunks },
    timeouts: { idle_ms: 400 },
    seen: 'error',
    booked: timedOut,
  },
  {
    name: 'first-token',
    fault: { kind: 'hang-before-first-token' },
    timeouts: { first_token_ms: 400 },
    seen: 'error',
    booked: timedOut,
  },
  { name: 'total', paced: true, timeouts: { total_ms: 500 }, seen: 'error', booked: timedOut },
  {
    name: 'leaves-before-headers',
    fault: { kind: 'hang-before-headers' },
    seen: 'nothing',
    booked: aborted,
  },
  {
    name: 'leaves-before-first-token',
    fault: { kind: 'hang-before-first-token' },
    seen: 'nothing',
    booked: aborted,
  },
  {
    name: 'leaves-in-the-middle',
    fault: { kind: 'hang-mid-stream', afterChunks },
    act: (stream) => stream.until(({ said }) => said.pieces === afterChunks),
    seen: 'nothing',
    booked: aborted,
  },
];

/** Streams that go on when the server is told to stop: one is done in time, the others never would be. */
export const stops: readonly Ending[] = [
  { name: 'stop-in-time', paced: true, seen: 'end', booked: ok },
  {
    name: 'stop',
    fault: { kind: 'hang-mid-stream', afterChunks },
    seen: 'error',
    booked: { status: 'error', error_code: 'shutting_down', estimated: true },
  },
];
