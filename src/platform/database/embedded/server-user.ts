import { existsSync } from 'node:fs';
import { AppError } from '../../errors.ts';
import type { PostgresBinaries } from './binaries.ts';
import { runProgram } from './run-program.ts';

/**
 * How the PostgreSQL programs are run: `command` with `prefix` in front of the program and its arguments, as `user`.
 */
export interface ServerUser {
  /** Owner of the database files; null: the user who runs Gatehouse. */
  readonly owner: { readonly uid: number; readonly gid: number } | null;
  readonly commandPrefix: readonly string[];
  /** For the system call that starts the program; null where the prefix changes the user. */
  readonly spawnAs: { readonly uid: number; readonly gid: number } | null;
}

/** PostgreSQL refuses to run as root. This is `nobody` on every Linux, so that no user need be made. */
const unprivileged = { uid: 65_534, gid: 65_534 } as const;

/** setpriv(1) is a part of util-linux, which every Debian and Ubuntu has. Fixed places: PATH may be anyone's. */
const setprivPlaces = ['/usr/bin/setpriv', '/bin/setpriv'];

/**
 * Whoever runs Gatehouse, the server gets no way to more privileges, and the kernel tells it to shut down when
 * Gatehouse dies without having stopped it.
 */
const tied = ['--no-new-privs', '--pdeathsig', 'INT'];
const dropped = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
/**
 * The secure bit makes access(2) heed the privilege, by which the programs look for one another; the kernel otherwise
 * ignores it there for any user but root.
 */
const withCapability = (name: string) => [
  `--inh-caps=-all,+${name}`,
  `--ambient-caps=-all,+${name}`,
  '--securebits=+no_setuid_fixup',
];

/** All ways to run the server on this machine, the one with the fewest privileges first. */
export function waysToRun(isRoot: boolean, setpriv: string | null): ServerUser[] {
  const as = (owner: ServerUser['owner'], options: readonly string[]): ServerUser[] =>
    setpriv === null ? [] : [{ owner, commandPrefix: [setpriv, ...options, '--'], spawnAs: null }];
  if (!isRoot) return [...as(null, tied), { owner: null, commandPrefix: [], spawnAs: null }];
  return [
    ...as(unprivileged, [...dropped, '--inh-caps=-all', ...tied]),
    { owner: unprivileged, commandPrefix: [], spawnAs: unprivileged },
    // Where root keeps the data or the programs in a place that others may not enter, such as /root, the server may
    // keep this one privilege: to pass through directories and read, but not to write, what is not its own.
    ...as(unprivileged, [...dropped, ...withCapability('dac_read_search'), ...tied]),
    // Containers commonly have only the stronger one to give.
    ...as(unprivileged, [...dropped, ...withCapability('dac_override'), ...tied]),
  ];
}

const probeTimeoutMs = 10_000;

/**
 * Chooses the first way that really works: it must reach the data directory and run the server program.
 * Trying beats reasoning about modes, access lists, mount options and security modules.
 * @throws AppError `database_unavailable` with the remedy when there is none.
 */
export async function chooseServerUser(dataDir: string, binaries: PostgresBinaries): Promise<ServerUser> {
  const isRoot = process.geteuid?.() === 0;
  const setpriv = setprivPlaces.find((place) => existsSync(place)) ?? null;
  let said = '';
  for (const way of waysToRun(isRoot, setpriv)) {
    const { exitCode, output } = await runAs(way, '/bin/sh', probe(dataDir, binaries), {
      environment: programEnvironment(binaries),
      timeoutMs: probeTimeoutMs,
    });
    if (exitCode === 0 && !output.includes('invalid binary')) return way;
    said = output.trim().split('\n').at(-1) ?? '';
  }
  throw new AppError('database_unavailable', explain(isRoot, dataDir, binaries, said));
}

const probe = (dataDir: string, { initdb, postgres }: PostgresBinaries) => [
  '-c',
  // Where a program may be run but cannot find itself, it says `invalid binary` and answers all the same.
  'cd "$1" && "$2" --version && exec "$3" --version',
  'sh',
  dataDir,
  initdb,
  postgres,
];

/** Runs one of the PostgreSQL programs to its end, as the server's user. */
export function runAs(
  way: ServerUser,
  program: string,
  args: readonly string[],
  options: Omit<Parameters<typeof runProgram>[2], 'user'>,
): ReturnType<typeof runProgram> {
  const [command, ...rest] = commandLine(way, program, args);
  return runProgram(command, rest, { ...options, ...(way.spawnAs === null ? {} : { user: way.spawnAs }) });
}

export function commandLine(
  way: ServerUser,
  program: string,
  args: readonly string[],
): [string, ...string[]] {
  const [command, ...rest] = [...way.commandPrefix, program, ...args];
  return [command ?? program, ...rest];
}

/** Nothing of Gatehouse's own environment: it holds secrets, and PG… variables would change the server. */
export function programEnvironment(binaries: PostgresBinaries): Record<string, string> {
  return { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...binaries.environment };
}

function explain(isRoot: boolean, dataDir: string, binaries: PostgresBinaries, said: string): string {
  const remedy = isRoot
    ? `PostgreSQL does not run as root, and user ${unprivileged.uid} could not be used for it. Run Gatehouse as an ` +
      `ordinary user, or keep it and its data where every user may pass: ${dataDir} (GATEHOUSE_DATA_DIR) and ` +
      `${binaries.postgres}.`
    : `Check that ${binaries.postgres} may be executed here (it needs a Linux with glibc).`;
  return `The embedded PostgreSQL cannot be run (${said}). ${remedy} Or set DATABASE_URL to a PostgreSQL server.`;
}
