import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { LaunchFailure } from './launch-failure.mjs';

/** Longer than any installation takes; then something is wrong with the one that is waited for. */
const longestWaitMs = 20 * 60_000;
const pollMs = 250;

/**
 * Lets one process at a time install. The file also tells of an installation that was cut off: it is then still
 * there, and those who made it are not.
 * @param {string} path
 * @param {(holder: number) => void} onWait called once, when another process is installing.
 * @returns what the cut-off installation before this one noted, or null; and functions to note and to release.
 */
export async function takeInstallLock(path, onWait) {
  const own = {
    pid: process.pid,
    startedAt: startOf(process.pid),
    child: null,
    childStartedAt: null,
    note: null,
  };
  let waitedMs = 0;
  let cutOff = null;
  while (!create(path, own)) {
    const text = readText(path);
    const holder = parse(text);
    if (text === null) continue;
    if (holder !== null && isAlive(holder)) {
      if (waitedMs === 0) onWait(holder.pid);
      if (waitedMs >= longestWaitMs) {
        throw new LaunchFailure(
          `Process ${holder.pid} has been installing packages for very long. End it and retry.`,
        );
      }
      await pause(pollMs);
      waitedMs += pollMs;
    } else if (removeExactly(path, text)) {
      cutOff = { note: holder?.note ?? null };
    }
  }
  return {
    cutOff,
    update(child, note) {
      Object.assign(own, { child, childStartedAt: child === null ? null : startOf(child), note });
      // Renamed into place: whoever reads it meanwhile must not see half of it.
      writeFileSync(`${path}.${process.pid}`, JSON.stringify(own));
      renameSync(`${path}.${process.pid}`, path);
    },
    release: () => rmSync(path, { force: true }),
  };
}

/** @returns whether the file was not there and now is ours, complete from the first moment. */
function create(path, content) {
  const beside = `${path}.${process.pid}`;
  try {
    writeFileSync(beside, JSON.stringify(content));
    linkSync(beside, path);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw new LaunchFailure(
      `Packages have to be installed, but ${path} cannot be written (${error.code}). ` +
        'Run this once as the user who owns the folder.',
    );
  } finally {
    rmSync(beside, { force: true });
  }
}

/** Removes the file only while it holds what was judged; another process may have replaced it in between. */
function removeExactly(path, text) {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return false;
  }
  const isIt = readText(aside) === text;
  try {
    if (!isIt) linkSync(aside, path);
  } catch {
    // A third process has taken it; both see each other's files and the loser waits.
  }
  rmSync(aside, { force: true });
  return isIt;
}

function isAlive(holder) {
  return (
    runs(holder.pid, holder.startedAt) || (holder.child !== null && runs(holder.child, holder.childStartedAt))
  );
}

function runs(pid, startedAt) {
  if (startedAt !== null) return startOf(pid) === startedAt;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/**
 * When a process started, in ticks since the machine did; null where the system does not tell. One that has ended but
 * that its parent has not noticed yet (Z) has no start any more.
 */
function startOf(pid) {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : fields[19];
  } catch {
    return null;
  }
}

function parse(text) {
  try {
    const holder = JSON.parse(text);
    return Number.isSafeInteger(holder.pid) ? holder : null;
  } catch {
    return null;
  }
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
