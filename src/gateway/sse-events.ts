/** An event larger than this is not one that any model sends: the largest hold a picture, some 6 MB in base64. */
export const maxEventBytes = 16 * 1024 * 1024;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/**
 * Cuts a byte stream into server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), which
 * end with an empty line. What is not yet a whole event waits here; its bytes are copied once however they arrive.
 */
export class EventSplitter {
  #waiting: Buffer = Buffer.alloc(0);
  #length = 0;
  #scanned = 0;

  /** @returns the bytes so far and where each whole event ends, or null when an event is too large. */
  push(chunk: Buffer): { bytes: Buffer; ends: number[] } | null {
    const bytes = this.#length === 0 ? chunk : this.#joined(chunk);
    const ends: number[] = [];
    let end = endOfEvent(bytes, this.#scanned);
    for (; end >= 0; end = endOfEvent(bytes, end)) ends.push(end);
    return this.#keep(bytes, ends.at(-1) ?? 0) ? { bytes, ends } : null;
  }

  /** What is left when the stream ends without an empty line. */
  rest(): Buffer {
    return this.#waiting.subarray(0, this.#length);
  }

  #joined(chunk: Buffer): Buffer {
    const length = this.#length + chunk.length;
    if (length > this.#waiting.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#waiting.length));
      this.#waiting.copy(larger, 0, 0, this.#length);
      this.#waiting = larger;
    }
    chunk.copy(this.#waiting, this.#length);
    this.#length = length;
    return this.#waiting.subarray(0, length);
  }

  /** Keeps what comes after the last whole event, in memory of its own: what was given out is not written over. */
  #keep(bytes: Buffer, from: number): boolean {
    const left = bytes.length - from;
    if (left > maxEventBytes) return false;
    if (from > 0 || this.#length === 0) {
      this.#waiting = left === 0 ? empty : Buffer.from(bytes.subarray(from));
      this.#length = left;
    }
    // An end may stand across two chunks: up to its last three bytes are looked at again.
    this.#scanned = Math.max(0, this.#length - 3);
    return true;
  }
}

const empty: Buffer = Buffer.alloc(0);

/** @returns the offset behind the next empty line, or -1 when there is none yet. */
function endOfEvent(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(lineFeed, from); at >= 0; at = bytes.indexOf(lineFeed, at + 1)) {
    if (bytes[at + 1] === lineFeed) return at + 2;
    if (bytes[at + 1] === carriageReturn && bytes[at + 2] === lineFeed) return at + 3;
  }
  return -1;
}
