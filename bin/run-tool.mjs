import { fileURLToPath } from 'node:url';
import { findNode } from './find-node.mjs';
import { ensureInstalled } from './install.mjs';
import { LaunchFailure } from './launch-failure.mjs';
import { runTied } from './run-tied.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Runs one of the project's own programs (simulator, benchmarks, soaks) on the Node that Gatehouse brings, with the packages
 * for development, which are installed first where only those for running are there.
 * @param {readonly string[]} args the program's file and its parameters.
 */
export async function runTool(args) {
  try {
    await ensureInstalled(root, 'everything');
    await runTied(findNode(root), args, { isServer: false });
  } catch (error) {
    if (!(error instanceof LaunchFailure)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
