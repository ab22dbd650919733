import { maxEventBytes } from '../sse-events.ts';

/**
 * Bounds what a package must gather of a reply before it can read it: the whole of an ordinary one, an event of a
 * stream. @returns whether the reply is still within its bound; to be told of every piece.
 */
export function createStreamBound(contentType: string, maxBytes: number): (chunk: Buffer) => boolean {
  if (/^text\/event-stream\b/i.test(contentType)) return lineBound();
  if (/^application\/vnd\.amazon\.eventstream\b/i.test(contentType)) return frameBound();
  let bytes = 0;
  return (chunk) => {
    bytes += chunk.length;
    return bytes <= maxBytes;
  };
}

/** Server-sent events: no line is longer than an event may be. */
function lineBound(): (chunk: Buffer) => boolean {
  let waiting = 0;
  return (chunk) => {
    const last = chunk.lastIndexOf(0x0a);
    waiting = last < 0 ? waiting + chunk.length : chunk.length - last - 1;
    return waiting <= maxEventBytes;
  };
}

const lengthBytes = 4;

/** AWS event streams: each frame begins with its whole length, four bytes, the highest first. */
function frameBound(): (chunk: Buffer) => boolean {
  let prefix = 0;
  let prefixBytes = 0;
  let left = 0;
  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (left > 0) {
        const step = Math.min(left, chunk.length - at);
        left -= step;
        at += step;
        continue;
      }
      prefix = prefix * 256 + (chunk[at++] ?? 0);
      prefixBytes++;
      if (prefixBytes < lengthBytes) continue;
      if (prefix > maxEventBytes || prefix <= lengthBytes) return false;
      left = prefix - lengthBytes;
      prefix = 0;
      prefixBytes = 0;
    }
    return true;
  };
}
