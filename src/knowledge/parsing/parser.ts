import { type Clock, systemClock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import type { FileDescription, ParsedDocument } from './parse-bytes.ts';
import { ParseFailure } from './parse-failure.ts';
import { defaultParseLimits, type ParseLimits } from './parse-limits.ts';
import { type ReaderProcess, startReaderProcess } from './reader-process.ts';

export type { ParsedDocument } from './parse-bytes.ts';
export { ParseFailure, type ParseFailureReason, parseFailureReasons } from './parse-failure.ts';
export { defaultParseLimits, type ParseLimits } from './parse-limits.ts';

export type FileToParse = FileDescription & {
  /** Where the file lies. It is opened by this process; the one that reads it sees only the bytes. */
  path: string;
};

export type Parser = {
  /**
   * Reads a file into clean text. Waits while all readers are busy.
   * @throws ParseFailure when the file cannot be read: final, trying again gives the same.
   * @throws AppError `overloaded` when too many files are waiting, `shutting_down` after `stop`, `dependency_down` when
   *   no reading process could be started: the file was not tried.
   */
  parse(file: FileToParse): Promise<ParsedDocument>;
  /** Refuses what waits, ends every reader at once and resolves when they are gone. */
  stop(): Promise<void>;
};

export type ParserDeps = {
  /** Reading processes at a time. */
  maxWorkers: number;
  /** Files that may wait for one. */
  maxWaiting?: number;
  /** How long a reader without work is kept, in milliseconds. */
  idleMs?: number;
  limits?: Partial<ParseLimits>;
  log: Pick<Log, 'info' | 'warn'>;
  clock?: Clock;
};

const DEFAULT_MAX_WAITING = 1000;
const DEFAULT_IDLE_MS = 10_000;
/** A reader is replaced now and then, so that whatever its libraries leak stays small. */
const FILES_PER_READER = 200;

type Reader = { process: ReaderProcess; files: number; idle: AbortController | undefined };
type Waiting = { start(reader: Reader): void; refuse(error: Error): void };

/**
 * Reads files in processes of their own, a bounded number at a time. Readers start when there is work and end when
 * there has been none for a while. Whatever happens to a reader fails only the file it was reading.
 */
export function createParser(deps: ParserDeps): Parser {
  const {
    maxWorkers,
    maxWaiting = DEFAULT_MAX_WAITING,
    idleMs = DEFAULT_IDLE_MS,
    log,
    clock = systemClock,
  } = deps;
  const limits = { ...defaultParseLimits, ...deps.limits };
  const readers = new Set<Reader>();
  const idle: Reader[] = [];
  const waiting: Waiting[] = [];
  let stopped = false;

  /** A reader for the next file, or undefined when all are busy. */
  function takeReader(): Reader | undefined {
    const reader = idle.pop();
    if (reader !== undefined) {
      reader.idle?.abort();
      if (reader.process.usable()) return reader;
      retire(reader);
    }
    if (readers.size >= maxWorkers) return undefined;
    const fresh: Reader = { process: startReaderProcess({ limits, clock }), files: 0, idle: undefined };
    readers.add(fresh);
    return fresh;
  }

  function retire(reader: Reader): void {
    readers.delete(reader);
    void reader.process.kill();
  }

  function giveBack(reader: Reader): void {
    if (!reader.process.usable() || reader.files >= FILES_PER_READER || stopped) retire(reader);
    else idle.push(reader);
    if (waiting.length === 0) retireWhenIdle(reader);
    else serveNext();
  }

  function serveNext(): void {
    const reader = takeReader();
    if (reader !== undefined) waiting.shift()?.start(reader);
  }

  function retireWhenIdle(reader: Reader): void {
    if (!idle.includes(reader)) return;
    const timer = new AbortController();
    reader.idle = timer;
    const end = () => {
      idle.splice(idle.indexOf(reader), 1);
      retire(reader);
    };
    clock.sleep(idleMs, timer.signal).then(end, () => {});
  }

  function obtainReader(): Promise<Reader> {
    const reader = takeReader();
    if (reader !== undefined) return Promise.resolve(reader);
    if (waiting.length >= maxWaiting)
      throw new AppError('overloaded', 'Too many files are waiting to be read. Try again later.');
    return new Promise((resolve, reject) => waiting.push({ start: resolve, refuse: reject }));
  }

  return {
    async parse(file) {
      if (stopped) throw shuttingDown();
      const reader = await obtainReader();
      reader.files += 1;
      const startedMs = clock.monotonicMs();
      try {
        return await reader.process.read(file);
      } catch (error) {
        if (stopped) throw shuttingDown();
        if (error instanceof ParseFailure) {
          const ms = Math.round(clock.monotonicMs() - startedMs);
          // Other causes may quote the document, which has no business in a log.
          const ours = error.reason === 'reader_crashed' ? { cause: String(error.cause) } : {};
          log.warn({ reason: error.reason, ms, ...ours }, 'a file could not be read');
        }
        throw error;
      } finally {
        giveBack(reader);
      }
    },
    async stop() {
      stopped = true;
      for (const { refuse } of waiting.splice(0)) refuse(shuttingDown());
      for (const reader of idle.splice(0)) reader.idle?.abort();
      await Promise.all([...readers].map(({ process }) => process.kill()));
      readers.clear();
    },
  };
}

function shuttingDown(): AppError {
  return new AppError('shutting_down', 'The server is shutting down.');
}
