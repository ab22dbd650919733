import type { Readable } from 'node:stream';
import type { ParsedDocument } from './parse-bytes.ts';
import type { ParseFailureReason } from './parse-failure.ts';
import type { ParseLimits } from './parse-limits.ts';

/**
 * What the server and a reading process say to each other over two pipes. A message is a head, as JSON behind its length in four
 * bytes, and a body of as many bytes as the head says: the file on the way in, the text on the way out.
 */
export type Request = { fileName: string; contentType?: string; limits: ParseLimits; bodyBytes: number };

/** The first message of a process: it has started and waits for files. */
export type Ready = { ready: true; bodyBytes: 0 };

export type Response = {
  answer:
    | { document: Omit<ParsedDocument, 'text'> }
    | { failure: { reason: ParseFailureReason; message: string; detail: string } };
  /** Resident memory of the process once it was done. */
  residentMiB: number;
  bodyBytes: number;
};

const LENGTH_BYTES = 4;
const LONGEST_HEAD_BYTES = 1024 * 1024;

export function encodeHead(head: Ready | Request | Response): Buffer {
  const json = Buffer.from(JSON.stringify(head), 'utf8');
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(json.length);
  return Buffer.concat([length, json]);
}

export type FrameReader<Head> = {
  /** The next message, or undefined when the other side has closed. The body may have up to `mostBodyBytes`. */
  next(mostBodyBytes: number): Promise<{ head: Head; body: Buffer } | undefined>;
};

/** Reads messages off a pipe. Whoever reads has to trust the heads' shape: both ends are ours. */
export function createFrameReader<Head extends { bodyBytes: number }>(stream: Readable): FrameReader<Head> {
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let rest: Buffer = Buffer.alloc(0);

  async function take(length: number): Promise<Buffer | undefined> {
    const taken = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      if (rest.length === 0) {
        const { value, done } = await chunks.next();
        if (done === true) return undefined;
        rest = value;
      }
      const copied = rest.copy(taken, filled);
      filled += copied;
      rest = rest.subarray(copied);
    }
    return taken;
  }

  async function takeHead(): Promise<Head | undefined> {
    const length = (await take(LENGTH_BYTES))?.readUInt32LE();
    if (length === undefined) return undefined;
    if (length > LONGEST_HEAD_BYTES)
      throw new RangeError(`A head of ${length} bytes is beyond ${LONGEST_HEAD_BYTES}`);
    const json = await take(length);
    return json === undefined ? undefined : (JSON.parse(json.toString('utf8')) as Head);
  }

  return {
    async next(mostBodyBytes) {
      const head = await takeHead();
      if (head === undefined) return undefined;
      if (!(head.bodyBytes >= 0 && head.bodyBytes <= mostBodyBytes)) {
        throw new RangeError(`A body of ${head.bodyBytes} bytes is beyond ${mostBodyBytes}`);
      }
      const body = await take(head.bodyBytes);
      return body === undefined ? undefined : { head, body };
    },
  };
}
