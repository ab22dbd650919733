import { write, writeSync } from 'node:fs';
import type { DestinationStream } from 'pino';

/** Lines that wait for a slow reader; what comes beyond is dropped rather than kept in memory. */
const longestBacklogCharacters = 4 * 1024 * 1024;
const retryAfterMs = 50;
/** Lines wait this long for others: each write costs a hand-over to another thread and back, whatever its length. */
const gatherMs = 10;
/** At the exit nothing can be waited for, so a reader that is slow to take the last lines gets this many chances. */
const lastTries = 20;
const afterOthersMs = 10;

/**
 * Writes lines to a file descriptor without ever making their writer wait, fail or stay.
 *
 * One write is under way at a time, and what comes meanwhile, or in the moment before it, goes with it. A process that is
 * killed takes the lines of that moment with it. A log that cannot be written, because
 * its terminal was closed or its disk is full, loses those lines and nothing else: pino's own stream then ends the
 * process, or at its exit tries for ever.
 */
export function createLogStream(fileDescriptor: number): DestinationStream & { flushSync(): void } {
  let waiting = '';
  let dropped = 0;
  let isBusy = false;
  let isGathering = false;
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
        isGathering = true;
        setTimeout(writeGathered, gatherMs).unref();
      } else {
        isBusy = false;
        process.removeListener('exit', flushSync);
      }
    });
  }

  function writeGathered(): void {
    isGathering = false;
    writeAll(take());
  }

  /** For the last lines of a process. */
  function flushSync(): void {
    // What the system is writing just now goes first; it needs microseconds, or else nobody reads.
    if (isBusy && !isGathering && refused === null) pause(afterOthersMs);
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
      isGathering = true;
      process.once('exit', flushSync);
      setTimeout(writeGathered, gatherMs).unref();
    },
    flushSync,
  };
}

/** At the exit there is no event loop to wait with. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
