import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { LaunchFailure } from './launch-failure.mjs';

/** One press of Ctrl-C arrives several times: from the terminal, and again from npm. */
const sameRequestMs = 400;
const parentCheckEveryMs = 500;

/**
 * Runs a Node program as the heart of this process: same input and output, same end. Signals reach it once; and when
 * this process or the npm that runs it is killed, it shuts down by itself (see tie.mjs).
 *
 * A server gets a session of its own, so that Ctrl-C in a terminal reaches it only through here, once. Other commands
 * stay in the terminal's group, where they may read from it and be suspended.
 */
export async function runTied(node, args, { isServer }) {
  const tie = new URL('./tie.mjs', import.meta.url).href;
  const child = spawn(node, ['--import', tie, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    detached: isServer,
  });
  const ended = new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new LaunchFailure(`${node} cannot be run: ${cause.message}`)));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const handlers = passSignals(child, isServer);
  const watch = watchParent(() => child.kill('SIGTERM'));
  try {
    endLike(await ended, handlers);
  } finally {
    clearInterval(watch);
    stopPassing(handlers);
  }
}

function passSignals(child, isServer) {
  let lastMs = Number.NEGATIVE_INFINITY;
  const pass = (signal) => {
    const now = performance.now();
    if (now - lastMs < sameRequestMs) return;
    lastMs = now;
    child.kill(signal);
  };
  // Outside a session of its own, what the terminal sends has already arrived.
  const isFromTerminal = !isServer && (process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY);
  const passUnlessFromTerminal = (signal) => {
    if (!isFromTerminal) pass(signal);
  };
  const handlers = {
    SIGTERM: pass,
    SIGINT: passUnlessFromTerminal,
    SIGQUIT: passUnlessFromTerminal,
    // The terminal is gone; a server stops as it would for SIGTERM.
    SIGHUP: () => pass(isServer ? 'SIGTERM' : 'SIGHUP'),
  };
  for (const [signal, handler] of Object.entries(handlers)) process.on(signal, handler);
  return handlers;
}

function stopPassing(handlers) {
  for (const [signal, handler] of Object.entries(handlers)) process.removeListener(signal, handler);
}

function endLike({ code, signal }, handlers) {
  if (signal === null) {
    process.exitCode = code;
    return;
  }
  stopPassing(handlers);
  process.kill(process.pid, signal);
  // For a signal that does not end this process.
  process.exitCode = 1;
}

/**
 * Under npm, calls `onGone` when npm was killed: it is then nobody's to stop any more. A process that was started by
 * hand may outlive its shell.
 */
function watchParent(onGone) {
  if (process.env.npm_lifecycle_event === undefined) return undefined;
  const parent = process.ppid;
  // Some shells stay between npm and its script.
  const grandparent = isShell(parent) ? parentOf(parent) : null;
  const watch = setInterval(() => {
    const isGone = process.ppid !== parent || (grandparent !== null && parentOf(parent) !== grandparent);
    if (!isGone) return;
    clearInterval(watch);
    onGone();
  }, parentCheckEveryMs);
  watch.unref();
  return watch;
}

function isShell(pid) {
  return /^(sh|dash|ash|bash|busybox|zsh)$/.test(readStat(pid)?.name ?? '');
}

function parentOf(pid) {
  return readStat(pid)?.parent ?? null;
}

function readStat(pid) {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const end = line.lastIndexOf(')');
    return {
      name: line.slice(line.indexOf('(') + 1, end),
      parent: Number(line.slice(end + 2).split(' ')[1]),
    };
  } catch {
    return null;
  }
}
