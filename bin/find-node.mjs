import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { LaunchFailure } from './launch-failure.mjs';

/** The major version that the package `node` brings; TypeScript runs on it as it stands. */
const runtimeMajor = 24;

/**
 * @returns the path of the Node to run on: the one that Gatehouse brings, or else this one when it is new enough, as
 * where install scripts are forbidden.
 */
export function findNode(root) {
  const own = join(root, 'node_modules', 'node', 'bin', 'node');
  if (isExecutable(own)) return own;
  if (Number(process.versions.node.split('.')[0]) >= runtimeMajor) return process.execPath;
  throw new LaunchFailure(
    `Gatehouse runs on Node ${runtimeMajor}, which its package "node" brings by an install script, and that did not ` +
      `run. Either run once:\n  npm rebuild --ignore-scripts=false node\nor start it with Node ${runtimeMajor} or newer ` +
      `(this is ${process.version}).`,
  );
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
