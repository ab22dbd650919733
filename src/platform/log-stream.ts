import { write, writeSync } from 'node:fs';
import type { DestinationStream } from 'pino';

/** Lines that wait for a slow reader; what comes beyond is dropped rather than kept in memory. */
const longestBacklogCharacters = 4 * 1024 * 1024;
const retryAfterMs = 50;
/** At the exit nothing can be waited for, so a reader that is slow to take the last lines gets this many chances. */
const lastTries = 20;
const afterOthersMs = 10;

/**
 * Writes lines to a file descriptor without ever making their writer wait, fail or stay.
 *
 * One write is under way at a time, and what comes meanwhile goes with the next. A log that cannot be written, because
 * its terminal was closed or its disk is full, loses those lines and nothing else: pino's own stream then ends the
 * process, or at its exit tries for ever.
 */
export function createLogStream(fileDescriptor: number): DestinationStream & { flushSync(): void } {
  let waiting = '';
  let dropped = 0;
  let isBusy = false;
  /** What a reader who is not ready has still to take. */
  let refused: Buffer | null = null;

  function take(): Buffer {
    const lost =
      dropped === 0 ? '' : `{"level":"warn","msg":"${dropped} log lines were dropped: nobody read them"}\n`;
    const text = waiting + lost;
    waiting = '';
    dropped = 0;
    return Buffer.from(text);
  }

  function writeAll(bytes: Buffer): void {
    refused = null;
    write(fileDescriptor, bytes, (error, written) => {
      if (error?.code === 'EAGAIN') {
        refused = bytes;
        setTimeout(() => writeAll(refused ?? take()), retryAfterMs).unref();
      } else if (error === null && written < bytes.length) {
        writeAll(bytes.subarray(written));
      } else if (waiting !== '') {
        writeAll(take());
      } else {
        isBusy = false;
        process.removeListener('exit', flushSync);
      }
    });
  }

  /** For the last lines of a process. */
  function flushSync(): void {
    // What the system is writing just now goes first; it needs microseconds, or else nobody reads.
    if (isBusy && refused === null) pause(afterOthersMs);
    let rest = Buffer.concat([refused ?? Buffer.alloc(0), take()]);
    refused = null;
    for (let tries = 0; rest.length > 0 && tries < lastTries; tries++) {
      try {
        rest = rest.subarray(writeSync(fileDescriptor, rest));
        tries = 0;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
        pause(retryAfterMs);
      }
    }
  }

  return {
    write(line) {
      if (waiting.length + line.length > longestBacklogCharacters) {
        dropped++;
        return;
      }
      waiting += line;
      if (isBusy) return;
      isBusy = true;
      process.once('exit', flushSync);
      writeAll(take());
    },
    flushSync,
  };
}

/** At the exit there is no event loop to wait with. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
