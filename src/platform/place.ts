import { closeSync, fsyncSync, linkSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from './errors.ts';
import { isUuid, type NewId } from './ids.ts';

/** Stands for "the only one there is": what was there before data directories had names. */
export const onlyPlace = '00000000-0000-0000-0000-000000000000';

/**
 * The name of a data directory: the same for each process that ever serves from it, so that what it holds (an index,
 * uploaded files) is known to be there again. Made at the first call; the directory is locked for this process.
 * @throws AppError `data_directory` when the file `place` holds something else.
 */
export function placeOf(dataDirectory: string, newId: NewId): string {
  const path = join(dataDirectory, 'place');
  const present = read(path);
  if (present !== null) return present;
  const id = newId();
  // Complete or not at all: written beside its place and linked into it.
  const draft = `${path}.new`;
  const file = openSync(draft, 'w', 0o600);
  try {
    writeSync(file, `${id}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  linkSync(draft, path);
  unlinkSync(draft);
  return id;
}

function read(path: string): string | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new AppError('data_directory', `${path} cannot be read. Check who owns the file.`, { cause });
  }
  if (isUuid(text)) return text;
  throw new AppError(
    'data_directory',
    `${path} does not hold an id. Remove it: the index is then built anew.`,
  );
}
