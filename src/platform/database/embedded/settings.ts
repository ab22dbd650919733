import { userInfo } from 'node:os';

/** The name of the operator's role inside the embedded server; it owns the database of the same name. */
export const ownerRole = 'gatehouse';
export const databaseName = 'gatehouse';
export const superuser = 'postgres';
/** Only a part of the socket's name: the server does not listen on the network. */
export const socketPort = 5432;

/** Everything that differs from PostgreSQL's own defaults, with the reason where it is not plain. */
export function serverSettings(socketDirectory: string): Record<string, string> {
  return {
    listen_addresses: '',
    port: String(socketPort),
    unix_socket_directories: quotedPath(socketDirectory),
    unix_socket_permissions: '0700',
    // Shares the machine with Gatehouse and its search index.
    shared_buffers: '128MB',
    max_connections: '100',
    wal_level: 'replica',
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    // Compiling costs more than it saves on queries of a few milliseconds.
    jit: 'off',
    // Two cores, many short queries; and containers give parallel workers too little shared memory (64 MB).
    max_parallel_workers_per_gather: '0',
    max_parallel_maintenance_workers: '0',
    timezone: 'UTC',
    log_timezone: 'UTC',
    logging_collector: 'off',
    log_destination: 'stderr',
    // Failed statements are reported to their caller, who logs them; here their values would be written down in clear.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_statement: 'none',
    log_checkpoints: 'off',
    log_error_verbosity: 'terse',
    cluster_name: 'gatehouse',
  };
}

/** The arguments that start a server on `databaseDirectory`; later settings win over earlier ones and over files. */
export function serverArguments(
  databaseDirectory: string,
  settings: Readonly<Record<string, string>>,
): string[] {
  const pairs = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return ['-D', databaseDirectory, ...pairs];
}

/** PostgreSQL reads a list separated by commas here, so a path is always quoted. */
function quotedPath(path: string): string {
  return `"${path.replaceAll('"', '""')}"`;
}

export interface AuthenticationFiles {
  readonly 'pg_hba.conf': string;
  readonly 'pg_ident.conf': string;
}

/**
 * Who may connect: only the system's user that runs Gatehouse, as any role. The kernel vouches for the user at the
 * other end of the socket (`peer`), so no password exists that could be lost.
 * @param user the name of that user; null when it has none, as in some containers: then only the mode of the socket
 * and of its directory protect the server, because PostgreSQL knows users by name.
 */
export function authenticationFiles(user: string | null): AuthenticationFiles {
  const method = user === null ? 'trust' : 'peer map=gatehouse';
  const note = '# Written by Gatehouse at every start.\n';
  return {
    'pg_hba.conf': `${note}local all all ${method}\nlocal replication all ${method}\n`,
    'pg_ident.conf': user === null ? note : `${note}gatehouse "${user.replaceAll('"', '""')}" all\n`,
  };
}

export function currentUserName(): string | null {
  try {
    return userInfo().username || null;
  } catch {
    return null;
  }
}
