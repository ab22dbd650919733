import { maxDepth } from '../dialects/parse-json.ts';
import { maxEventBytes } from '../sse-events.ts';

/** @returns whether the reply is still within its bounds; to be told of every piece. */
export type StreamBound = (chunk: Buffer) => boolean;

/**
 * Bounds what a package must gather of a reply before it can read it, the whole of an ordinary one, an event of a stream,
 * and how deep the JSON in it is nested: parsing millions of levels would take seconds, during which nobody else is served.
 */
export function createStreamBound(contentType: string, maxBytes: number): StreamBound {
  if (/^text\/event-stream\b/i.test(contentType)) return eventBound();
  if (/^application\/vnd\.amazon\.eventstream\b/i.test(contentType)) return frameBound();
  const nesting = new Nesting();
  let bytes = 0;
  return (chunk) => {
    bytes += chunk.length;
    return bytes <= maxBytes && nesting.holds(chunk, 0, chunk.length);
  };
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** Server-sent events end with an empty line; each of their lines may hold JSON. */
function eventBound(): StreamBound {
  const nesting = new Nesting();
  let eventBytes = 0;
  let lineBytes = 0;
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      const end = chunk.indexOf(lineFeed, at);
      const lineEnd = end < 0 ? chunk.length : end;
      if (!nesting.holds(chunk, at, lineEnd)) return false;
      lineBytes += lineEnd - at - (chunk[lineEnd - 1] === carriageReturn ? 1 : 0);
      eventBytes += lineEnd - at;
      if (end < 0) break;
      if (lineBytes <= 0) eventBytes = 0;
      lineBytes = 0;
      nesting.restart();
      at = end + 1;
    }
    return eventBytes <= maxEventBytes;
  };
}

/** Lengths of the whole and of the headers, and a checksum of both. */
const preludeBytes = 12;
const checksumBytes = 4;
/** Frames hold pieces of text; the package copies what it has of one for each piece of the connection's. */
const maxFrameBytes = 2 * 1024 * 1024;

/**
 * AWS event streams: each frame begins with its whole length and that of its headers, four bytes each, the highest first
 * (https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream).
 */
function frameBound(): StreamBound {
  const nesting = new Nesting();
  const prelude = Buffer.alloc(preludeBytes);
  let at = 0;
  let payloadStart = 0;
  let payloadEnd = 0;
  return (chunk) => {
    for (let from = 0; from < chunk.length; ) {
      if (at < preludeBytes) {
        prelude[at++] = chunk[from++] ?? 0;
        if (at < preludeBytes) continue;
        const frameBytes = prelude.readUInt32BE(0);
        payloadStart = preludeBytes + prelude.readUInt32BE(4);
        payloadEnd = frameBytes - checksumBytes;
        if (frameBytes > maxFrameBytes || payloadStart > payloadEnd) return false;
        nesting.restart();
        continue;
      }
      const isPayload = at >= payloadStart && at < payloadEnd;
      const next = at < payloadStart ? payloadStart : isPayload ? payloadEnd : payloadEnd + checksumBytes;
      const step = Math.min(next - at, chunk.length - from);
      if (isPayload && !nesting.holds(chunk, from, from + step)) return false;
      from += step;
      at += step;
      if (at === payloadEnd + checksumBytes) at = 0;
    }
    return true;
  };
}

const quote = 0x22;
const backslash = 0x5c;
/** `[` and `{` are the same but for this bit, as are `]` and `}`. */
const braceBit = 0x20;
const opening = 0x7b;
const closing = 0x7d;

/** How deep JSON is nested that comes in pieces. */
class Nesting {
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** @returns false once it is deeper than `maxDepth`. */
  holds(chunk: Buffer, from: number, to: number): boolean {
    // In variables of its own, because this loop sees every byte of every translated reply.
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    for (let at = from; at < to && depth <= maxDepth; at++) {
      const byte = chunk[at] ?? 0;
      if (escaped) escaped = false;
      else if (byte === quote) inString = !inString;
      else if (inString) escaped = byte === backslash;
      else if ((byte | braceBit) === opening) depth++;
      else if ((byte | braceBit) === closing) depth--;
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    return depth <= maxDepth;
  }

  restart(): void {
    this.#depth = 0;
    this.#inString = false;
    this.#escaped = false;
  }
}
