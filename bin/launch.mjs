import { fileURLToPath } from 'node:url';
import { findNode } from './find-node.mjs';
import { ensureInstalled } from './install.mjs';
import { LaunchFailure } from './launch-failure.mjs';
import { runTied } from './run-tied.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/**
 * Half of Node's default for young objects: 40 MB less of resident memory after a first start (266 instead of 304 MB), and
 * no difference in the gateway benchmark beyond its noise.
 */
export const nodeFlags = ['--max-semi-space-size=8'];

/** Runs `gatehouse <args>` on the Node that Gatehouse brings, installing its packages first where they are missing. */
export async function launch(args) {
  try {
    await ensureInstalled(root, 'production');
    await runTied(findNode(root), [...nodeFlags, main, ...args], { isServer: args[0] === 'serve' });
  } catch (error) {
    if (!(error instanceof LaunchFailure)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
