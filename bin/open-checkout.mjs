import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const notNeeded = (name) => name === '.git' || name.startsWith('data');

/**
 * As root, some tests act as another user, who cannot pass a directory such as /root or one that `mktemp -d` made. Then
 * they run in a copy where everyone may pass, made of hard links where the disk allows it.
 * @returns where the tests can run, and how to clear up afterwards.
 */
export function openCheckout(root) {
  if (process.geteuid?.() !== 0 || everyoneMayPass(root)) return { path: root, remove: () => {} };
  const path = mkdtempSync(join(tmpdir(), 'gatehouse-checkout-'));
  chmodSync(path, 0o755);
  for (const name of readdirSync(root).filter((entry) => !notNeeded(entry))) {
    try {
      execFileSync('cp', ['-al', join(root, name), path], { stdio: 'ignore' });
    } catch {
      execFileSync('cp', ['-a', join(root, name), path]);
    }
  }
  console.log(`Other users cannot reach ${root}; the tests run in ${path}.`);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

function everyoneMayPass(directory) {
  const passable = (statSync(directory).mode & 0o001) !== 0;
  return passable && (dirname(directory) === directory || everyoneMayPass(dirname(directory)));
}
