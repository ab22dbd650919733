import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Which packages are to be there: `production` to run Gatehouse, `everything` to test it too.
 * @typedef {'production' | 'everything'} PackageSet
 */

const hiddenLockFile = (root) => join(root, 'node_modules', '.package-lock.json');
const markFile = (root) => join(root, 'node_modules', '.gatehouse-lock-hash');

/**
 * Whether the packages of `package-lock.json` are installed. A mark that an earlier installation left answers at once,
 * unless npm has been at work since. Then npm's own record of what it installed is compared package by package, so
 * that an installation by hand counts and a pruned one does not.
 * @param {string} root
 * @param {PackageSet} wanted
 */
export function isInstalled(root, wanted) {
  const locked = read(join(root, 'package-lock.json'));
  // Without a lock file this is not a checkout but an installed package, whose packages its installer cares for.
  if (locked === null) return true;
  const mark = readMark(root);
  if (mark?.hash === hashOf(locked) && (mark.set === 'everything' || mark.set === wanted)) return true;
  const hidden = read(hiddenLockFile(root));
  if (hidden === null || !holdsAll(JSON.parse(locked).packages, JSON.parse(hidden).packages, wanted))
    return false;
  markInstalled(root, wanted);
  return true;
}

/** Remembers that the packages of the present lock file are installed. Best effort: they may be read-only. */
export function markInstalled(root, set) {
  try {
    const locked = readFileSync(join(root, 'package-lock.json'));
    writeFileSync(markFile(root), `${hashOf(locked)} ${set}\n`);
  } catch {
    // The next start compares again, which takes milliseconds.
  }
}

/** Whether packages that only tests need are there; an installation must not take them away. */
export function hasDevelopmentPackages(root) {
  const hidden = read(hiddenLockFile(root));
  return (
    hidden !== null && Object.values(JSON.parse(hidden).packages ?? {}).some((entry) => entry.dev === true)
  );
}

/** @returns null when there is no mark, or npm changed something after it was made. */
function readMark(root) {
  try {
    if (statSync(hiddenLockFile(root)).mtimeMs > statSync(markFile(root)).mtimeMs) return null;
    const [hash, set] = readFileSync(markFile(root), 'utf8').trim().split(' ');
    return { hash, set };
  } catch {
    return null;
  }
}

/** Packages made on one platform do not run on another, as when a folder is shared with a container. */
function hashOf(locked) {
  return createHash('sha256').update(locked).update(`${process.platform}-${process.arch}`).digest('hex');
}

function holdsAll(locked, hidden = {}, wanted) {
  return Object.entries(locked).every(([path, entry]) => {
    if (path === '' || entry.link === true) return true;
    if (entry.dev === true && wanted === 'production') return true;
    const found = hidden[path];
    if (found === undefined) return entry.optional === true && !isMeantForHere(entry);
    return found.version === entry.version && (found.integrity ?? entry.integrity) === entry.integrity;
  });
}

/**
 * Of the optional packages, those made for exactly this kind of machine are needed: they hold the programs. The C
 * library of the machine is not looked at, so packages that depend on it may be absent.
 */
function isMeantForHere(entry) {
  const names = (list, here) => Array.isArray(list) && list.includes(here);
  return names(entry.os, process.platform) && names(entry.cpu, process.arch) && entry.libc === undefined;
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
