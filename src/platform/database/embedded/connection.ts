import { databaseName, ownerRole, socketPort } from './settings.ts';

/** How to reach the embedded server as the owner of its database. No password: the kernel vouches for the user. */
export interface EmbeddedConnection {
  /** The directory that holds the socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  /** The same as a connection string for `pg` and for what is built on it. */
  readonly url: string;
}

/**
 * The host part says `localhost` although nothing listens there: readers that follow the URL standard refuse a user
 * name without a host. `pg` and libpq prefer the `host` parameter.
 */
export function connectionTo(socketDirectory: string): EmbeddedConnection {
  const parameters = new URLSearchParams({ host: socketDirectory, port: String(socketPort) });
  return {
    host: socketDirectory,
    port: socketPort,
    user: ownerRole,
    database: databaseName,
    // `+` for a space is understood by forms, not by libpq.
    url: `postgresql://${ownerRole}@localhost/${databaseName}?${parameters.toString().replaceAll('+', '%20')}`,
  };
}
