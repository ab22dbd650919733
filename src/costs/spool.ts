import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../platform/log.ts';
import { decodeSpoolLines, encodeSpoolLine } from './spool-line.ts';

/** One file of the spool. */
export interface Segment {
  readonly path: string;
  readonly bytes: number;
  /** Rows are still being added to it. */
  readonly active: boolean;
}

/**
 * Ledger rows on their way to the database. A row is in the operating system's hands when `append` resolves, so it
 * outlives kill -9 of this process. It outlives a power failure once it is in the database (about 50 ms later) or,
 * while the database is away, once `sync` ran (about every second).
 *
 * Rows of this process are kept in memory, too, so that writing them to the database reads no file; a file is read
 * only after a crash, or when the database was away for so long that keeping its rows would take too much memory.
 */
export interface Spool {
  /** Makes the directory if need be and takes over what earlier processes left. Throws when it cannot be written. */
  open(): void;
  /**
   * Adds one row, as a single line of JSON. Rows of one turn of the event loop are written together, in one synchronous
   * write at its end: under load a write costs more than all the rest of a row.
   * @returns resolves when the row is written. Never rejects: what the disk refuses is kept in memory.
   */
  append(json: string): Promise<void>;
  /** False when no further row could be kept safe; then no call may be started. */
  hasRoom(): boolean;
  /** Files that hold rows not yet given out, oldest first. */
  segments(): Segment[];
  /**
   * Gives out the rows of a segment that were not given out before; those of one that has to be read from its file are
   * all given out, some of them perhaps again. Ends an active segment that has to be read.
   */
  take(segment: Segment): Promise<{ rows: readonly string[]; torn: number }>;
  /** The rows taken from it are in the database: an ended segment is removed, an active one goes on. */
  done(segment: Segment): Promise<void>;
  /** They are not: next time the segment is read from its file. */
  putBack(segment: Segment): void;
  /** Rows that the disk refused; they leave only through `forgetRefused`. */
  refused(): readonly string[];
  forgetRefused(count: number): void;
  /** Forces what was written to the disk itself. */
  sync(): void;
  /** What is not in the database yet: rows, without those of earlier processes, and the size of all files. */
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
/** Also how much is replayed after a crash although it was in the database already. */
const defaultMaxSegmentBytes = 1024 * 1024;
/** Ended segments whose rows are kept in memory; of further ones only the files. */
const maxSegmentsInMemory = 8;
/** Rows kept in memory when the disk refuses them. No call starts while there is one, so only calls in flight add. */
const maxRefused = 8_192;

interface OpenSegment extends Segment {
  bytes: number;
  active: boolean;
  fd: number;
  rows: number;
  /** Rows not given out yet; null when only the file has them. */
  fresh: string[] | null;
}

export function createSpool(settings: SpoolSettings): Spool {
  const { directory, processName, log } = settings;
  const maxBytes = settings.maxBytes ?? defaultMaxBytes;
  const maxSegmentBytes = settings.maxSegmentBytes ?? defaultMaxSegmentBytes;
  let segments: OpenSegment[] = [];
  let active: OpenSegment | null = null;
  let pending: string[] = [];
  let pendingWritten: Promise<void> = Promise.resolve();
  let refused: string[] = [];
  let begun = 0;
  let bytes = 0;
  let tornLine = false;

  const begin = (): OpenSegment => {
    begun++;
    const path = join(directory, `${processName}.${String(begun).padStart(9, '0')}.jsonl`);
    const segment = { path, fd: openSync(path, 'ax', 0o600), bytes: 0, rows: 0, active: true, fresh: [] };
    segments.push(segment);
    return segment;
  };
  const end = (segment: OpenSegment): void => {
    if (!segment.active) return;
    closeSync(segment.fd);
    segment.active = false;
    active = null;
    const inMemory = segments.filter((other) => !other.active && other.fresh !== null);
    if (inMemory.length > maxSegmentsInMemory) segment.fresh = null;
  };
  const write = (rows: readonly string[]): void => {
    active ??= begin();
    // After a failed write the file may end in the middle of a line, which must not swallow the next one.
    const lines = `${tornLine ? '\n' : ''}${rows.map(encodeSpoolLine).join('')}`;
    tornLine = true;
    const written = writeSync(active.fd, lines);
    active.bytes += written;
    bytes += written;
    if (written < Buffer.byteLength(lines)) throw new Error('the disk took only a part of the rows');
    tornLine = false;
    active.rows += rows.length;
    active.fresh?.push(...rows);
    if (active.bytes >= maxSegmentBytes) end(active);
  };
  const writePending = (): void => {
    const rows = pending;
    if (rows.length === 0) return;
    pending = [];
    try {
      write(rows);
    } catch (error) {
      refused.push(...rows.slice(0, maxRefused - refused.length));
      log.error(
        { err: error, held: refused.length },
        'ledger rows could not be written to the spool; no new calls until they are safe',
      );
    }
  };
  const known = (segment: Segment): OpenSegment => {
    const found = segments.find((candidate) => candidate === segment);
    if (!found) throw new Error('this segment is not one of the spool, or was removed');
    return found;
  };
  const drop = (segment: OpenSegment): void => {
    segments = segments.filter((other) => other !== segment);
    bytes -= segment.bytes;
  };

  return {
    open() {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const left = readdirSync(directory).filter((name) => name.endsWith('.jsonl'));
      segments = left.sort().map((name) => {
        const path = join(directory, name);
        return { path, bytes: statSync(path).size, rows: 0, fd: -1, active: false, fresh: null };
      });
      bytes = segments.reduce((total, segment) => total + segment.bytes, 0);
      if (bytes > 0)
        log.info({ segments: segments.length, bytes }, 'ledger rows of an earlier run are waiting');
      active = begin();
    },
    append(json) {
      pending.push(json);
      if (pending.length === 1) {
        pendingWritten = new Promise((resolve) => {
          setImmediate(() => {
            writePending();
            resolve();
          });
        });
      }
      return pendingWritten;
    },
    hasRoom: () => refused.length === 0 && bytes < maxBytes,
    segments() {
      writePending();
      return segments.filter(({ fresh, active: open }) => fresh === null || fresh.length > 0 || !open);
    },
    async take(given) {
      const segment = known(given);
      const { fresh } = segment;
      if (fresh === null) end(segment);
      segment.fresh = [];
      return fresh === null
        ? decodeSpoolLines(await readFile(segment.path, 'utf8'))
        : { rows: fresh, torn: 0 };
    },
    async done(given) {
      const segment = known(given);
      // Meanwhile rows may have come to it.
      if (segment.active || segment.fresh === null || segment.fresh.length > 0) return;
      drop(segment);
      await rm(segment.path, { force: true });
    },
    putBack(given) {
      known(given).fresh = null;
    },
    refused: () => refused,
    forgetRefused(count) {
      refused = refused.slice(count);
    },
    sync() {
      for (const segment of segments) {
        if (segment.active) fsyncSync(segment.fd);
        else syncPath(segment.path);
      }
      syncPath(directory);
    },
    waiting: () => ({
      rows: segments.reduce(
        (total, segment) => total + (segment.fresh === null ? segment.rows : segment.fresh.length),
        refused.length + pending.length,
      ),
      bytes,
    }),
    close() {
      writePending();
      if (!active) return;
      const last: OpenSegment = active;
      end(last);
      if (last.fresh === null || last.fresh.length > 0) return;
      drop(last);
      rmSync(last.path, { force: true });
    },
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
