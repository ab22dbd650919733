import { constants, inflateRawSync } from 'node:zlib';
import { ParseFailure } from './parse-failure.ts';
import type { ParseLimits } from './parse-limits.ts';

/**
 * Reads entries of a ZIP archive that nobody vouches for (APPNOTE.TXT 6.3.10, sections 4.3 to 4.5).
 *
 * Sizes in the headers are claims of whoever made the file. They are checked first, because a claim beyond the limits
 * is reason enough to refuse; then every entry is unpacked into a buffer that cannot grow past what is
 * still allowed, so a lying header gains nothing. Entries are unpacked only when read.
 */
export type ZipArchive = {
  readonly names: readonly string[];
  has(name: string): boolean;
  /** @throws ParseFailure `decompression_limit` or `truncated_or_corrupt`. */
  read(name: string): Buffer;
};

type Entry = {
  name: string;
  method: number;
  flags: number;
  packed: number;
  unpacked: number;
  offset: number;
};

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_ENTRY = 0x04034b50;
const END_BYTES = 22;
const LONGEST_COMMENT = 65_535;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED_FLAG = 1;
const RATIO_APPLIES_ABOVE_BYTES = 1024 * 1024;
const ZIP64_MARK = 0xffffffff;

type Limits = Pick<ParseLimits, 'unpackedBytes' | 'unpackRatio' | 'archiveEntries'>;

/** @throws ParseFailure `truncated_or_corrupt`, `encrypted` or `decompression_limit`. */
export function openZip(bytes: Uint8Array, limits: Limits): ZipArchive {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries = readDirectory(file, limits);
  checkClaims(entries, limits);
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  let left = limits.unpackedBytes;
  return {
    names: [...byName.keys()],
    has: (name) => byName.has(name),
    read: (name) => {
      const entry = byName.get(name);
      if (entry === undefined) throw corrupt(`it has no entry ${name}`);
      const content = unpack(file, entry, left, limits);
      left -= content.length;
      return content;
    },
  };
}

function readDirectory(file: Buffer, limits: Limits): Entry[] {
  const end = findEnd(file);
  const count = file.readUInt16LE(end + 10);
  if (count > limits.archiveEntries) {
    throw new ParseFailure(
      'decompression_limit',
      `The archive has ${count} entries; the limit is ${limits.archiveEntries}.`,
    );
  }
  let at = file.readUInt32LE(end + 16);
  const entries: Entry[] = [];
  for (let index = 0; index < count; index += 1) {
    if (at + 46 > file.length || file.readUInt32LE(at) !== DIRECTORY_ENTRY)
      throw corrupt('its directory is damaged');
    const nameLength = file.readUInt16LE(at + 28);
    const rest = file.readUInt16LE(at + 30) + file.readUInt16LE(at + 32);
    entries.push({
      name: file.toString('utf8', at + 46, at + 46 + nameLength),
      flags: file.readUInt16LE(at + 8),
      method: file.readUInt16LE(at + 10),
      packed: file.readUInt32LE(at + 20),
      unpacked: file.readUInt32LE(at + 24),
      offset: file.readUInt32LE(at + 42),
    });
    at += 46 + nameLength + rest;
  }
  return entries;
}

function findEnd(file: Buffer): number {
  const earliest = Math.max(0, file.length - END_BYTES - LONGEST_COMMENT);
  for (let at = file.length - END_BYTES; at >= earliest; at -= 1) {
    if (file.readUInt32LE(at) === END_OF_DIRECTORY) return at;
  }
  throw corrupt('its end is missing, so the upload was probably cut short');
}

function checkClaims(entries: readonly Entry[], limits: Limits): void {
  let total = 0;
  for (const entry of entries) {
    if ((entry.flags & ENCRYPTED_FLAG) !== 0) {
      throw new ParseFailure(
        'encrypted',
        'The file is protected by a password. Remove the password and upload it again.',
      );
    }
    if (entry.packed === ZIP64_MARK || entry.unpacked === ZIP64_MARK || entry.offset === ZIP64_MARK) {
      throw new ParseFailure('decompression_limit', 'The archive uses entries of four gigabytes or more.');
    }
    checkRatio(entry.unpacked, entry.packed, limits);
    total += entry.unpacked;
  }
  if (total > limits.unpackedBytes) throw tooMuch(limits);
}

function checkRatio(unpacked: number, packed: number, limits: Limits): void {
  if (unpacked <= RATIO_APPLIES_ABOVE_BYTES || unpacked <= packed * limits.unpackRatio) return;
  throw new ParseFailure(
    'decompression_limit',
    `A part of the file unpacks to more than ${limits.unpackRatio} times its size, as archives made to exhaust a server do.`,
  );
}

function unpack(file: Buffer, entry: Entry, allowed: number, limits: Limits): Buffer {
  const packed = packedBytes(file, entry);
  if (entry.method === STORED) {
    if (packed.length > allowed) throw tooMuch(limits);
    return packed;
  }
  if (entry.method !== DEFLATED) throw corrupt(`its entry ${entry.name} is packed in an unknown way`);
  const byRatio = Math.max(RATIO_APPLIES_ABOVE_BYTES, packed.length * limits.unpackRatio);
  const most = Math.min(allowed, byRatio);
  try {
    return inflateRawSync(packed, { maxOutputLength: Math.max(1, most), finishFlush: constants.Z_FINISH });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') {
      throw corrupt(`its entry ${entry.name} cannot be unpacked`, cause);
    }
    if (most < allowed) checkRatio(byRatio + 1, packed.length, limits);
    throw tooMuch(limits);
  }
}

function packedBytes(file: Buffer, entry: Entry): Buffer {
  const at = entry.offset;
  if (at + 30 > file.length || file.readUInt32LE(at) !== LOCAL_ENTRY)
    throw corrupt(`its entry ${entry.name} is damaged`);
  const start = at + 30 + file.readUInt16LE(at + 26) + file.readUInt16LE(at + 28);
  if (start + entry.packed > file.length) throw corrupt(`its entry ${entry.name} is cut short`);
  return file.subarray(start, start + entry.packed);
}

function corrupt(detail: string, cause?: unknown): ParseFailure {
  return new ParseFailure(
    'truncated_or_corrupt',
    `The file is damaged: ${detail}. Export or upload it again.`,
    { cause },
  );
}

function tooMuch(limits: Limits): ParseFailure {
  return new ParseFailure(
    'decompression_limit',
    `The file unpacks to more than ${Math.floor(limits.unpackedBytes / (1024 * 1024))} MiB.`,
  );
}
