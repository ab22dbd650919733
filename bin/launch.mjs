import { fileURLToPath } from 'node:url';
import { findNode } from './find-node.mjs';
import { ensureInstalled } from './install.mjs';
import { LaunchFailure } from './launch-failure.mjs';
import { runTied } from './run-tied.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/**
 * Twice Node's default for young objects: what a model call makes is mostly gone before the collector comes. Beside 8 MB
 * it takes 7 to 15 % less processor time a call, and 24 to 72 MB more memory (docs/performance.md).
 */
export const nodeFlags = ['--max-semi-space-size=32'];

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
