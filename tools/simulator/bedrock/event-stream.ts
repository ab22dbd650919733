import { crc32 } from 'node:zlib';
import { bytesOf } from '../exchange.ts';

/**
 * Frames of `application/vnd.amazon.eventstream`: total length, headers' length, a CRC of those two, headers, payload,
 * a CRC of all before it; numbers are 32 bits, big-endian. Every header here is a text (type 7).
 */
const preludeBytes = 12;
const textType = 7;

/** An event of a stream. */
export function eventFrame(type: string, payload: object): Buffer {
  return frame(
    { ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' },
    payload,
  );
}

/** An error inside a stream. */
export function exceptionFrame(type: string, payload: object): Buffer {
  const headers = {
    ':exception-type': type,
    ':content-type': 'application/json',
    ':message-type': 'exception',
  };
  return frame(headers, payload);
}

/** A whole frame whose last byte is wrong, so that its checksum is. */
export function corrupted(whole: Buffer): Buffer {
  const copy = Buffer.from(whole);
  copy.writeUInt8((copy.readUInt8(copy.length - 1) + 1) % 256, copy.length - 1);
  return copy;
}

function frame(headers: Readonly<Record<string, string>>, payload: object): Buffer {
  const head = Buffer.concat(Object.entries(headers).map(headerBytes));
  const body = bytesOf(JSON.stringify(payload));
  const total = preludeBytes + head.length + body.length + 4;
  const bytes = Buffer.alloc(total);
  bytes.writeUInt32BE(total, 0);
  bytes.writeUInt32BE(head.length, 4);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8);
  head.copy(bytes, preludeBytes);
  body.copy(bytes, preludeBytes + head.length);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, total - 4)), total - 4);
  return bytes;
}

function headerBytes([name, value]: [string, string]): Buffer {
  const nameBytes = Buffer.from(name);
  const valueBytes = Buffer.from(value);
  const lengths = Buffer.from([textType, valueBytes.length >> 8, valueBytes.length & 0xff]);
  return Buffer.concat([Buffer.from([nameBytes.length]), nameBytes, lengths, valueBytes]);
}
