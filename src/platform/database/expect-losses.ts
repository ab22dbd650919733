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
