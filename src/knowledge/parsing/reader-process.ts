import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import { createFrameReader, encodeHead, type Ready, type Response } from './frames.ts';
import type { FileDescription, ParsedDocument } from './parse-bytes.ts';
import { ParseFailure } from './parse-failure.ts';
import type { ParseLimits } from './parse-limits.ts';
import { spawnReader } from './spawn-reader.ts';

/**
 * One operating-system process that reads files, one at a time. A process rather than a thread, because a thread's
 * buffers count against no limit and a thread that runs out of memory can take the server with it. It is
 * handed each file through a pipe and can reach nothing else (see `spawn-reader.ts`).
 */
export type ReaderProcess = {
  /**
   * Reads one file.
   * @throws ParseFailure for every way in which the file can fail.
   * @throws AppError `dependency_down` when the process did not start: nothing is known about the file then.
   */
  read(file: FileDescription & { path: string }): Promise<ParsedDocument>;
  /** False once the process has ended, or holds so much memory that another file should get a fresh one. */
  usable(): boolean;
  /** Ends the process at once, whatever it is doing; a file it was reading fails. Resolves when it is gone. */
  kill(): Promise<void>;
};

type Exit = { code: number | null; signal: NodeJS.Signals | null };

const INPUT = 3;
const OUTPUT = 4;
const START_WITHIN_MS = 30_000;
const MEMORY_CHECK_EVERY_MS = 100;
const LONGEST_STDERR = 4096;
/** A UTF-16 code unit takes at most three bytes of UTF-8. */
const BYTES_PER_CODE_UNIT = 3;
const WORN_ABOVE = 0.5;

export function startReaderProcess(deps: { limits: ParseLimits; clock: Clock }): ReaderProcess {
  const { limits, clock } = deps;
  const child = spawnReader(limits);
  const input = child.stdio[INPUT] as Writable;
  const responses = createFrameReader<Ready | Response>(child.stdio[OUTPUT] as Readable);
  const stderr = tailOf(child.stderr);
  let gone = false;
  let worn = false;
  let killedFor: ParseFailure | undefined;
  const exited = exitOf(child).then((exit) => {
    gone = true;
    return exit;
  });
  const ready = responses.next(0).catch(() => undefined);
  // Writing to a process that has died is reported by its exit.
  input.on('error', () => {});

  function killFor(failure: ParseFailure): void {
    killedFor ??= failure;
    child.kill('SIGKILL');
  }

  async function waitUntilStarted(): Promise<void> {
    const started = new AbortController();
    const giveUp = () => void child.kill('SIGKILL');
    clock.sleep(START_WITHIN_MS, started.signal).then(giveUp, () => {});
    const first = await ready;
    started.abort();
    if (first === undefined) throw notStarted(await exited, stderr());
  }

  async function watchTime(signal: AbortSignal): Promise<void> {
    await clock.sleep(limits.timeMs, signal);
    const seconds = Math.round(limits.timeMs / 1000);
    killFor(
      new ParseFailure(
        'timeout',
        `Reading the file took more than ${seconds} seconds. Split it into smaller files.`,
      ),
    );
  }

  async function watchMemory(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !gone) {
      if ((await residentMiB(child.pid)) > limits.residentMiB) killFor(outOfMemory());
      await clock.sleep(MEMORY_CHECK_EVERY_MS, signal);
    }
  }

  async function converse(
    file: FileHandle,
    size: number,
    description: FileDescription,
  ): Promise<ParsedDocument> {
    input.write(encodeHead({ ...description, limits, bodyBytes: size }));
    await Promise.race([send(file, size, input), exited]);
    const response = await responses.next(limits.textLength * BYTES_PER_CODE_UNIT);
    if (response === undefined || 'ready' in response.head)
      throw killedFor ?? endedBy(await exited, stderr());
    worn = response.head.residentMiB > limits.residentMiB * WORN_ABOVE;
    const { answer } = response.head;
    if ('document' in answer) return { ...answer.document, text: response.body.toString('utf8') };
    throw new ParseFailure(answer.failure.reason, answer.failure.message, { cause: answer.failure.detail });
  }

  return {
    async read({ path, ...description }) {
      const watch = new AbortController();
      const file = await openFile(path);
      try {
        const size = await sizeOf(file, limits);
        await waitUntilStarted();
        watchTime(watch.signal).catch(() => {});
        watchMemory(watch.signal).catch(() => {});
        return await converse(file, size, description);
      } catch (error) {
        if (error instanceof ParseFailure && error.reason === 'unreadable') killFor(error);
        throw error;
      } finally {
        watch.abort();
        await file.close();
      }
    },
    usable: () => !gone && !worn && !child.killed,
    async kill() {
      killFor(new ParseFailure('reader_crashed', 'Reading the file was stopped.'));
      await exited;
    },
  };
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw unreadable(cause);
  }
}

/** @throws ParseFailure `too_large` or `empty` without the process having to look. */
async function sizeOf(file: FileHandle, limits: ParseLimits): Promise<number> {
  const { size } = await file.stat();
  if (size === 0) throw new ParseFailure('empty', 'The file is empty.');
  if (size <= limits.fileBytes) return size;
  const mebibytes = Math.floor(limits.fileBytes / (1024 * 1024));
  throw new ParseFailure(
    'too_large',
    `The file has ${size} bytes; the limit is ${limits.fileBytes} (${mebibytes} MiB). Split it.`,
  );
}

/** Sends exactly `size` bytes. @throws ParseFailure `unreadable` when the file no longer has them. */
async function send(file: FileHandle, size: number, input: Writable): Promise<void> {
  let sent = 0;
  try {
    for await (const chunk of file.createReadStream({ start: 0, end: size - 1, autoClose: false })) {
      sent += (chunk as Buffer).length;
      if (!input.write(chunk)) await once(input, 'drain');
    }
  } catch (cause) {
    if (!input.destroyed) throw unreadable(cause);
  }
  if (sent < size && !input.destroyed)
    throw unreadable(new Error(`The file has shrunk from ${size} to ${sent} bytes`));
}

function unreadable(cause: unknown): ParseFailure {
  return new ParseFailure(
    'unreadable',
    'The stored file is gone or was changed while it was read. Upload it again.',
    { cause },
  );
}

function outOfMemory(cause?: unknown): ParseFailure {
  return new ParseFailure(
    'out_of_memory',
    'Reading the file needs more memory than a file may take. Split it or simplify it.',
    {
      cause,
    },
  );
}

function endedBy({ code, signal }: Exit, stderr: string): ParseFailure {
  const cause = new Error(`The reading process ended with ${signal ?? code}: ${stderr.trim()}`);
  // Not killed by us: the kernel kills a process when the machine is out of memory, and V8 aborts at its heap limit.
  if (signal === 'SIGKILL' || /heap out of memory|Array buffer allocation failed/i.test(stderr))
    return outOfMemory(cause);
  return new ParseFailure(
    'reader_crashed',
    'Reading the file failed unexpectedly. Export it again, or in another format.',
    {
      cause,
    },
  );
}

function notStarted({ code, signal }: Exit, stderr: string): AppError {
  const cause = new Error(
    `The reading process ended with ${signal ?? code} before it was ready: ${stderr.trim()}`,
  );
  return new AppError('dependency_down', 'The process that reads files could not be started.', { cause });
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: null, signal: null }));
  });
}

function tailOf(stream: Readable | null): () => string {
  let tail = '';
  stream?.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-LONGEST_STDERR);
  });
  return () => tail;
}

/** Resident memory of a process as Linux tells it; 0 elsewhere, where only the heap limit holds. */
async function residentMiB(pid: number | undefined): Promise<number> {
  if (pid === undefined || process.platform !== 'linux') return 0;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
}
