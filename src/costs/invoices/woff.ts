import { inflateSync } from 'node:zlib';

const entryBytes = { woff: 20, sfnt: 16 };
const headerBytes = { woff: 44, sfnt: 12 };

/**
 * Unpacks a WOFF 1.0 font into the TrueType font that it holds (https://www.w3.org/TR/WOFF/). The library that draws PDFs
 * could, but takes half a second of JavaScript for what zlib does in two milliseconds.
 * @throws RangeError when it is not such a font.
 */
export function unpackWoff(woff: Buffer): Buffer {
  if (woff.toString('latin1', 0, 4) !== 'wOFF') throw new RangeError('not a WOFF 1.0 font');
  const tables = woff.readUInt16BE(12);
  const font = Buffer.alloc(woff.readUInt32BE(16));
  woff.copy(font, 0, 4, 8);
  font.writeUInt16BE(tables, 4);
  const power = Math.floor(Math.log2(tables));
  font.writeUInt16BE(16 * 2 ** power, 6);
  font.writeUInt16BE(power, 8);
  font.writeUInt16BE(16 * tables - 16 * 2 ** power, 10);
  let end = headerBytes.sfnt + tables * entryBytes.sfnt;
  for (let index = 0; index < tables; index++) {
    const entry = headerBytes.woff + index * entryBytes.woff;
    const [offset, packed, length] = [4, 8, 12].map((at) => woff.readUInt32BE(entry + at)) as [
      number,
      number,
      number,
    ];
    const stored = woff.subarray(offset, offset + packed);
    const table = packed < length ? inflateSync(stored, { maxOutputLength: length }) : stored;
    const at = headerBytes.sfnt + index * entryBytes.sfnt;
    woff.copy(font, at, entry, entry + 4);
    woff.copy(font, at + 4, entry + 16, entry + 20);
    font.writeUInt32BE(end, at + 8);
    font.writeUInt32BE(length, at + 12);
    table.copy(font, end);
    end += Math.ceil(length / 4) * 4;
  }
  return font;
}
