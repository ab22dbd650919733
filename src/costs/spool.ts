import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../platform/log.ts';
import { decodeSpoolLines, encodeSpoolLine } from './spool-line.ts';

/** A file of the spool that nothing is added to any more. */
export interface Segment {
  readonly path: string;
  readonly bytes: number;
  /** 0 for what an earlier process left, until it is read. */
  readonly rows: number;
}

/**
 * Ledger rows on their way to the database. A row is in the operating system's hands when `append` returns, so it
 * outlives kill -9 of this process. It outlives a power failure once it is in the database (about 50 ms later) or,
 * while the database is away, once `sync` ran (about every second).
 */
export interface Spool {
  /** Makes the directory if need be and takes over what earlier processes left. Throws when it cannot be written. */
  open(): void;
  /** Adds one row, as a single line of JSON. Never throws: what the disk refuses is kept in memory. */
  append(json: string): void;
  /** False when no further row could be kept safe; then no call may be started. */
  hasRoom(): boolean;
  /** Ends the segment being written, if it has rows, and gives all ended ones, oldest first: every row so far. */
  endedSegments(): Segment[];
  read(segment: Segment): Promise<{ rows: string[]; torn: number }>;
  /** Forgets a segment whose rows are in the database. */
  remove(segment: Segment): Promise<void>;
  /** Rows that the disk refused; they leave only through `forgetRefused`. */
  refused(): readonly string[];
  forgetRefused(count: number): void;
  /** Forces what was written to the disk itself. */
  sync(): void;
  /** What is not in the database yet. */
  waiting(): { rows: number; bytes: number };
  close(): void;
}

export interface SpoolSettings {
  readonly directory: string;
  /** Names this process's segments; sorts after those of earlier processes. */
  readonly processName: string;
  readonly log: Log;
  readonly maxBytes?: number;
  readonly maxSegmentBytes?: number;
}

/** About a million rows: with the database away, this long the house can go on recording. */
const defaultMaxBytes = 1024 * 1024 * 1024;
const defaultMaxSegmentBytes = 4 * 1024 * 1024;
/** Rows kept in memory when the disk refuses them. No call starts while there is one, so only calls in flight add. */
const maxRefused = 8_192;

export function createSpool(settings: SpoolSettings): Spool {
  const { directory, processName, log } = settings;
  const maxBytes = settings.maxBytes ?? defaultMaxBytes;
  const maxSegmentBytes = settings.maxSegmentBytes ?? defaultMaxSegmentBytes;
  let ended: Segment[] = [];
  let active: { fd: number; path: string; bytes: number; rows: number } | null = null;
  let refused: string[] = [];
  let segments = 0;
  let bytes = 0;
  let tornLine = false;

  const begin = () => {
    segments++;
    const path = join(directory, `${processName}.${String(segments).padStart(9, '0')}.jsonl`);
    return { fd: openSync(path, 'ax', 0o600), path, bytes: 0, rows: 0 };
  };
  const end = (): void => {
    if (!active) return;
    const { fd, path, bytes, rows } = active;
    closeSync(fd);
    if (bytes > 0) ended.push({ path, bytes, rows });
    else rmSync(path, { force: true });
    active = null;
  };
  const write = (json: string): void => {
    active ??= begin();
    // After a failed write the file may end in the middle of a line, which must not swallow this one.
    const line = `${tornLine ? '\n' : ''}${encodeSpoolLine(json)}`;
    const length = Buffer.byteLength(line);
    tornLine = true;
    const written = writeSync(active.fd, line);
    active.bytes += written;
    bytes += written;
    if (written < length) throw new Error('the disk took only a part of the row');
    tornLine = false;
    active.rows++;
    if (active.bytes >= maxSegmentBytes) end();
  };

  return {
    open() {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const left = readdirSync(directory).filter((name) => name.endsWith('.jsonl'));
      ended = left.sort().map((name) => {
        const path = join(directory, name);
        return { path, bytes: statSync(path).size, rows: 0 };
      });
      bytes = ended.reduce((total, segment) => total + segment.bytes, 0);
      if (ended.length > 0)
        log.info({ segments: ended.length, bytes }, 'ledger rows of an earlier run are waiting');
      active = begin();
    },
    append(json) {
      try {
        write(json);
      } catch (error) {
        if (refused.length < maxRefused) refused.push(json);
        log.error(
          { err: error, held: refused.length },
          'a ledger row could not be written to the spool; no new calls until it is safe',
        );
      }
    },
    hasRoom: () => refused.length === 0 && bytes < maxBytes,
    endedSegments() {
      if (active && active.bytes > 0) end();
      return [...ended];
    },
    read: async (segment) => decodeSpoolLines(await readFile(segment.path, 'utf8')),
    async remove(segment) {
      await rm(segment.path, { force: true });
      ended = ended.filter((other) => other !== segment);
      bytes -= segment.bytes;
    },
    refused: () => refused,
    forgetRefused(count) {
      refused = refused.slice(count);
    },
    sync() {
      if (active) fsyncSync(active.fd);
      for (const path of [...ended.map((segment) => segment.path), directory]) syncPath(path);
    },
    waiting: () => ({
      rows: ended.reduce((total, segment) => total + segment.rows, active?.rows ?? 0) + refused.length,
      bytes,
    }),
    close: end,
  };
}

function syncPath(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
