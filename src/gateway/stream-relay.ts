import type { StreamGuard } from './hooks.ts';
import type { StreamReader } from './model-call.ts';
import { EventSplitter } from './sse-events.ts';

/** What the relay hands bytes to: the caller's side. */
export interface RelayOutput {
  /** @returns false when the reader is slow. */
  write(bytes: Buffer): boolean;
}

/**
 * Events without anything of the answer are kept back up to here. Those that open a response repeat its instructions and
 * tools, each of them; agents have some 50 KB of these.
 */
export const maxHeldBytes = 1024 * 1024;

/**
 * Passes a stream's events from provider to caller, as they came but for the usage event that only we asked for. What
 * comes before the answer begins is held back, so that until then another target can take over without anybody noticing.
 * The end mark is held back, too, so that the call is settled before its last byte leaves.
 */
export class StreamRelay {
  readonly reader: StreamReader;
  readonly #output: RelayOutput;
  readonly #guard: StreamGuard | null;
  readonly #splitter = new EventSplitter();
  #held: Buffer[] = [];
  #heldBytes = 0;
  #begun = false;
  #endMark: Buffer | null = null;

  constructor(reader: StreamReader, output: RelayOutput, guard: StreamGuard | null) {
    this.reader = reader;
    this.#output = output;
    this.#guard = guard;
  }

  /**
   * @returns whether the caller keeps up; `malformed` when the provider sends an event without end, or a torn one.
   * @throws what a guard throws, to end the stream, and what the reader throws on an event that cannot be read.
   */
  push(chunk: Buffer): boolean | 'malformed' {
    // What comes after the end mark is nobody's.
    if (this.#endMark !== null) return true;
    const events = this.#splitter.push(chunk);
    if (events === null) return 'malformed';
    const { bytes, ends } = events;
    let keepsUp = true;
    let start = 0;
    let unsent = 0;
    for (const end of ends) {
      const event = bytes.toString('latin1', start, end);
      if (isTorn(event)) return 'malformed';
      const verdict = this.reader.read(event);
      if (verdict !== 'pass') {
        if (start > unsent) keepsUp = this.#send(bytes.subarray(unsent, start)) && keepsUp;
        unsent = end;
      }
      if (verdict === 'hold') keepsUp = this.#hold(bytes.subarray(start, end)) && keepsUp;
      if (verdict === 'end') {
        this.#endMark = bytes.subarray(start, end);
        return keepsUp;
      }
      start = end;
    }
    return start > unsent ? this.#send(bytes.subarray(unsent, start)) && keepsUp : keepsUp;
  }

  /** The provider's side is over. @returns the bytes that may leave once the call is settled. */
  finish(): Buffer {
    const last = this.#endMark === null ? this.#lastEvent(this.#splitter.rest()) : nothing;
    const opening = this.#held.length > 0 ? this.#guarded(this.#withHeld(nothing)) : nothing;
    const kept = this.#guard ? this.#guard.end() : nothing;
    return Buffer.concat([opening, last, kept, this.#endMark ?? nothing]);
  }

  /** The provider has sent its end mark; nothing that still comes is anybody's. */
  get ended(): boolean {
    return this.#endMark !== null;
  }

  /** What is held back, as text. */
  held(): string {
    return Buffer.concat(this.#held).toString('utf8');
  }

  /** A last event that is whole but for its empty line is given one; half an event goes nowhere. */
  #lastEvent(rest: Buffer): Buffer {
    const text = rest.toString('utf8');
    if (!/^(?:event:[^\n]*\n)?data: ?(?:\[DONE\]|\{.*\})\s*$/s.test(text)) return nothing;
    const whole = Buffer.from(`${text.trimEnd()}\n\n`);
    const verdict = this.reader.read(whole.toString('latin1'));
    if (verdict === 'end') this.#endMark = whole;
    if (verdict === 'hold') this.#hold(whole);
    return verdict === 'pass' ? this.#guarded(this.#withHeld(whole)) : nothing;
  }

  /** Once something has left, nobody can take over, and whatever comes is the caller's. */
  #hold(event: Buffer): boolean {
    this.#held.push(event);
    this.#heldBytes += event.length;
    return (!this.#begun && this.#heldBytes <= maxHeldBytes) || this.#send(nothing);
  }

  #send(events: Buffer): boolean {
    this.#begun = true;
    const bytes = this.#guarded(this.#withHeld(events));
    return bytes.length === 0 || this.#output.write(bytes);
  }

  #withHeld(events: Buffer): Buffer {
    if (this.#held.length === 0) return events;
    const all = Buffer.concat([...this.#held, events]);
    this.#held = [];
    this.#heldBytes = 0;
    return all;
  }

  #guarded(events: Buffer): Buffer {
    return this.#guard ? this.#guard.push(events) : events;
  }
}

const nothing: Buffer = Buffer.alloc(0);

const brace = 0x7b;
const closingBrace = 0x7d;
const blank = 0x20;

/**
 * Whether the event's last line holds an object that was cut short: its client could not read it, either. Told by its
 * two ends, because parsing every event would cost more than all the rest.
 */
function isTorn(event: string): boolean {
  let last = event.length - 1;
  while (event.charCodeAt(last) <= blank) last--;
  const line = event.lastIndexOf('\n', last) + 1;
  if (!event.startsWith('data:', line)) return false;
  const data = line + (event.charCodeAt(line + 5) === blank ? 6 : 5);
  return event.charCodeAt(data) === brace && event.charCodeAt(last) !== closingBrace;
}
