import type pg from 'pg';

/**
 * A lost connection, because the server was restarted or killed, is an event on the client that held it, and an event
 * that nobody hears ends the process. A pool hears it for idle clients only; a client in use needs a listener of its own,
 * between the statements of a transaction too. The statement that was running, or the next one, fails with the loss.
 * @param onIdleLoss told of connections that were lost while nobody used them.
 */
export function expectLosses(pool: pg.Pool, onIdleLoss: (error: Error) => void): void {
  pool.on('error', onIdleLoss);
  pool.on('connect', (client) => client.on('error', () => {}));
}

/** Classes 08 and 57P of PostgreSQL's error codes: connections, and a server that starts or shuts down. */
const serverCodes = /^(?:08|57P)/;
/** No server at the address, its socket not there, or a connection that ended under us. */
const systemCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOENT', 'ETIMEDOUT']);
/** What the driver says without a code, and what its pool says when no connection came about. */
const driverWords =
  /^(?:Connection terminated|Client has encountered a connection error|timeout exceeded when)/;

/**
 * Whether a database call failed because the server is not there just now. What it was to change may have been changed:
 * the loss can come between the commit and its answer.
 */
export function isLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined) return driverWords.test(error.message);
  return serverCodes.test(code) || (systemCodes.has(code) && syscall !== undefined && syscalls.has(syscall));
}

/** Calls on sockets: a file that is not there is no lost connection. */
const syscalls = new Set(['connect', 'read', 'write']);
