import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Raised when the arrangement of files in the data directory changes so that an older Gatehouse would misread it. */
export const dataLayout = 1;

/** The major version of the PostgreSQL that comes with Gatehouse; its files can be read by no other. */
export const embeddedPostgresMajor = 18;

/** What the file `VERSION` of a data directory says. */
export interface DataVersion {
  readonly layout: number;
  readonly postgresql: number;
}

export const versionFile = (directory: string) => join(directory, 'VERSION');

/** @returns null when there is none yet. @throws when the file is there and is not one of ours. */
export function readVersion(directory: string): DataVersion | null {
  if (!existsSync(versionFile(directory))) return null;
  const { layout, postgresql } = JSON.parse(readFileSync(versionFile(directory), 'utf8'));
  if (!Number.isSafeInteger(layout) || !Number.isSafeInteger(postgresql))
    throw new Error('not a version file');
  return { layout, postgresql };
}

export function writeVersion(directory: string): void {
  const version: DataVersion = { layout: dataLayout, postgresql: embeddedPostgresMajor };
  const beside = `${versionFile(directory)}.new`;
  writeFileSync(beside, `${JSON.stringify(version)}\n`, { mode: 0o600 });
  renameSync(beside, versionFile(directory));
}
