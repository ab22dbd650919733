import { closeSync, fstatSync, ftruncateSync, openSync, readSync, renameSync } from 'node:fs';
import { join } from 'node:path';

/** The log may grow to this size while the server runs, then it starts again from nothing. */
const largestLogBytes = 8 * 1024 * 1024;
const tailBytes = 4_096;

/**
 * The file that takes what the server writes to standard error, and its predecessor from the start before.
 * Together they never take more than twice `largestLogBytes`, plus what is written between two calls of `trim`.
 */
export interface ServerLog {
  /** To be given to the server as its standard error. */
  readonly fileDescriptor: number;
  /** The last lines written since the start. */
  tail(): string;
  /** Empties the log when it has grown too large. To be called now and then. */
  trim(): void;
  close(): void;
}

export const serverLogPath = (dataDir: string) => join(dataDir, 'postgres.log');

export function openServerLog(dataDir: string): ServerLog {
  const path = serverLogPath(dataDir);
  try {
    renameSync(path, `${path}.1`);
  } catch {
    // The first start.
  }
  // Appending, so that the server goes on at the new end after the file was cut.
  const file = openSync(path, 'a+', 0o600);
  return {
    fileDescriptor: file,
    tail() {
      const { size } = fstatSync(file);
      const buffer = Buffer.alloc(Math.min(size, tailBytes));
      readSync(file, buffer, 0, buffer.length, size - buffer.length);
      return buffer.toString();
    },
    trim() {
      if (fstatSync(file).size > largestLogBytes) ftruncateSync(file);
    },
    close: () => closeSync(file),
  };
}
