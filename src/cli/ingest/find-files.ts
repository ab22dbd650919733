import type { Dirent, Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve, sep } from 'node:path';
import { UsageError } from '../command.ts';

/** What is taken from folders: what the server reads. A file that is named itself is sent whatever it is called. */
export const readExtensions: readonly string[] = [
  '.pdf',
  '.docx',
  '.html',
  '.htm',
  '.xhtml',
  '.md',
  '.markdown',
  '.mdx',
  '.txt',
  '.text',
  '.csv',
  '.tsv',
  '.jsonl',
  '.ndjson',
];

export interface FoundFile {
  /** Absolute. */
  readonly path: string;
  /**
   * The document's name for the server, with forward slashes: where the file lies below the base folder, so that the
   * next run revises the same document instead of adding another.
   */
  readonly externalId: string;
  readonly bytes: number;
}

export interface FindOptions {
  /** External ids are relative to this folder. */
  readonly base: string;
  /** More files than this are a mistake rather than a wish. */
  readonly mostFiles: number;
  readonly signal: AbortSignal;
  /** Called for a folder below the named ones that may not be read; the rest is looked through all the same. */
  readonly onUnreadable: (folder: string, why: string) => void;
}

/** As the server bounds it. */
const longestExternalId = 500;

/**
 * Finds the files to ingest: those named, and those in the folders named, all the way down. Skips dot files, dot
 * folders and node_modules. Follows symbolic links, but enters no folder twice, so that a loop of links ends.
 * @returns in the order of their paths, each once.
 * @throws UsageError when a path does not exist, or when two files would be the same document.
 */
export async function findFiles(paths: readonly string[], options: FindOptions): Promise<FoundFile[]> {
  const found = new Map<string, FoundFile>();
  const entered = new Set<string>();

  const take = (path: string, given: string, stats: Stats) => {
    if (found.has(path)) return;
    if (found.size >= options.mostFiles) {
      throw new UsageError(
        `There are more than ${options.mostFiles} files. Ingest a part at a time, or raise --max-files.`,
      );
    }
    found.set(path, { path, externalId: externalIdOf(path, given, options.base), bytes: stats.size });
  };

  const walk = async (folder: string, given: string): Promise<void> => {
    options.signal.throwIfAborted();
    const stats = await stat(folder);
    const identity = `${stats.dev}:${stats.ino}`;
    if (entered.has(identity)) return;
    entered.add(identity);
    const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      options.onUnreadable(folder, error.code ?? error.message);
      return [];
    });
    for (const entry of entries.filter(isWanted).sort(byName)) {
      const path = join(folder, entry.name);
      // A link that leads nowhere is no file; so is one that goes away while we look.
      const target = entry.isSymbolicLink() ? await stat(path).catch(() => null) : entry;
      if (target?.isDirectory()) await walk(path, given);
      else if (target?.isFile() && readExtensions.includes(extname(path).toLowerCase())) {
        const facts = await stat(path).catch(() => null);
        if (facts) take(path, given, facts);
      }
    }
  };

  for (const given of paths) {
    const path = resolve(given);
    const stats = await stat(path).catch((cause: NodeJS.ErrnoException) => {
      throw new UsageError(
        cause.code === 'ENOENT' ? `There is no ${given}.` : `${given} cannot be read (${cause.code}).`,
        { cause },
      );
    });
    if (stats.isDirectory()) await walk(path, path);
    else if (stats.isFile()) take(path, path, stats);
    else throw new UsageError(`${given} is neither a file nor a folder.`);
  }
  const files = [...found.values()].sort((a, b) => (a.externalId < b.externalId ? -1 : 1));
  refuseDoubles(files);
  return files;
}

/**
 * @param given the path on the command line by which the file was found.
 * @returns the path below `base`; for a file elsewhere, its path from the folder that was named on.
 */
export function externalIdOf(path: string, given: string, base: string): string {
  const below = relative(base, path);
  const isBelow = below !== '' && below !== '..' && !below.startsWith(`..${sep}`) && !below.startsWith(sep);
  const id = isBelow ? below : given === path ? basename(path) : relative(dirname(given), path);
  return id.split(sep).join('/');
}

function refuseDoubles(files: readonly FoundFile[]): void {
  const known = new Map<string, string>();
  for (const { path, externalId } of files) {
    const other = known.get(externalId);
    if (other !== undefined) {
      throw new UsageError(
        `${other} and ${path} would both be the document "${externalId}". Ingest them with different --base folders.`,
      );
    }
    if (externalId.length > longestExternalId) {
      throw new UsageError(
        `${path} lies too deep: its path below the base is over ${longestExternalId} characters.`,
      );
    }
    known.set(externalId, path);
  }
}

function isWanted(entry: Dirent): boolean {
  return !entry.name.startsWith('.') && entry.name !== 'node_modules';
}

function byName(a: Dirent, b: Dirent): number {
  return a.name < b.name ? -1 : 1;
}
