/**
 * What a PostgreSQL server writes about itself to `postmaster.pid` in its database directory. The order of its lines
 * is fixed in PostgreSQL's source, src/include/utils/pidfile.h.
 */
export interface PostmasterFile {
  readonly pid: number;
  readonly databaseDirectory: string;
  readonly socketDirectory: string | null;
  /** `starting`, `ready`, `standby`, `stopping`; null before the server has said anything. */
  readonly status: string | null;
}

/** @returns null when the text is not, or not yet, such a file. */
export function parsePostmasterFile(text: string): PostmasterFile | null {
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  const databaseDirectory = lines[1];
  if (!Number.isSafeInteger(pid) || pid === 0 || databaseDirectory === undefined) return null;
  return {
    // Negative in single-user mode.
    pid: Math.abs(pid),
    databaseDirectory,
    socketDirectory: lines[4]?.trim() || null,
    status: lines[7]?.trim() || null,
  };
}
