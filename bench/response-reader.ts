/**
 * Follows HTTP/1.1 replies on one keep-alive connection, one at a time, for the load generator. It only finds where a
 * reply begins and ends and never copies or decodes bodies, because the load generator shares its core with the
 * simulated provider and must not be what is measured.
 */
export interface ResponseReader {
  /** Takes what the socket received. Throws for a reply it cannot delimit. */
  push(bytes: Buffer): void;
}

export interface ReplyEvents {
  /** A part of a reply's body has come: these bytes, the line end behind a chunk among them. */
  readonly body: (bytes: Buffer, from: number, to: number) => void;
  /** A reply is whole. */
  readonly ended: (status: number) => void;
}

const maxHeadCharacters = 65_536;

/** Builds a reader for replies that carry a content-length or are chunked (all that a proxy sends on keep-alive). */
export function createResponseReader(events: ReplyEvents): ResponseReader {
  let head = '';
  let status = 0;
  let part: 'head' | 'length' | 'chunk-size' | 'chunk' | 'trailer' = 'head';
  let bytesLeft = 0;
  let line = '';

  function push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) at = step(bytes, at);
  }

  /** Takes what belongs to the part being read and returns the position after it. */
  function step(bytes: Buffer, at: number): number {
    switch (part) {
      case 'head':
        return readHead(bytes, at);
      case 'length':
      case 'chunk':
        return skipBody(bytes, at);
      default:
        return readLine(bytes, at);
    }
  }

  function readHead(bytes: Buffer, at: number): number {
    const known = head.length;
    head += bytes.toString('latin1', at);
    const end = head.indexOf('\r\n\r\n', Math.max(0, known - 3));
    if (end === -1) {
      if (head.length > maxHeadCharacters) throw new Error('The head of a reply does not end.');
      return bytes.length;
    }
    const next = at + end + 4 - known;
    beginBody(head.slice(0, end + 2));
    head = '';
    return next;
  }

  function beginBody(headText: string): void {
    status = Number(headText.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)\r\n/iu.exec(headText)?.[1];
    if (/\r\ntransfer-encoding: *chunked\r\n/iu.test(headText)) part = 'chunk-size';
    else if (length === undefined) throw new Error(`A reply does not say where it ends: ${headText}`);
    else {
      part = 'length';
      bytesLeft = Number(length);
      if (bytesLeft === 0) finish();
    }
  }

  function skipBody(bytes: Buffer, at: number): number {
    const taken = Math.min(bytesLeft, bytes.length - at);
    events.body(bytes, at, at + taken);
    bytesLeft -= taken;
    if (bytesLeft === 0) {
      if (part === 'length') finish();
      else part = 'chunk-size';
    }
    return at + taken;
  }

  function readLine(bytes: Buffer, at: number): number {
    const feed = bytes.indexOf(10, at);
    line += bytes.toString('latin1', at, feed === -1 ? bytes.length : feed);
    if (feed === -1) return bytes.length;
    const text = line.trim();
    line = '';
    if (part === 'trailer') {
      if (text === '') finish();
    } else beginChunk(Number.parseInt(text, 16));
    return feed + 1;
  }

  function beginChunk(size: number): void {
    if (Number.isNaN(size)) throw new Error('A chunk of a reply has no size.');
    part = size === 0 ? 'trailer' : 'chunk';
    // A chunk is followed by CR LF, skipped with it.
    bytesLeft = size + 2;
  }

  function finish(): void {
    part = 'head';
    events.ended(status);
  }

  return { push };
}
