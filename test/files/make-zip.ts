import { constants, crc32, deflateRawSync } from 'node:zlib';

export type ZipEntry = {
  name: string;
  /** Packed already when `deflated`, otherwise packed here. */
  content: Buffer | string;
  deflated?: boolean;
  /** What the headers say it unpacks to; the truth unless given. */
  claimedBytes?: number;
  /** Sets the flag that says the entry is encrypted. */
  encrypted?: boolean;
};

/** A ZIP archive whose headers can lie, for tests. */
export function makeZip(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const entry of entries) {
    const content = Buffer.from(entry.content);
    const packed = entry.deflated === true ? content : deflateRawSync(content);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(entry.encrypted === true ? 1 : 0, 2);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(entry.deflated === true ? 0 : crc32(content), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(entry.claimedBytes ?? content.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(entry.name), 22);
    const name = Buffer.from(entry.name);
    const offset = Buffer.alloc(4);
    offset.writeUInt32LE(at);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, name, packed]);
    directory.push(
      Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), fields, Buffer.alloc(10), offset, name]),
    );
    parts.push(local);
    at += local.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(listed.length, 8);
  end.writeUInt32LE(at, 12);
  return Buffer.concat([...parts, listed, Buffer.from('PK\x05\x06'), end]);
}

const MEBIBYTE = 1024 * 1024;

/**
 * A deflate stream that unpacks to `mebibytes` of `fill`, a thousandth of that in size, without ever being held
 * unpacked: one flushed block, repeated.
 */
export function deflateBomb(mebibytes: number, fill: string): Buffer {
  const block = deflateRawSync(Buffer.alloc(MEBIBYTE, fill), { finishFlush: constants.Z_FULL_FLUSH });
  return Buffer.concat([...Array.from({ length: mebibytes }, () => block), deflateRawSync(Buffer.alloc(0))]);
}
