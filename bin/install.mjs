import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { takeInstallLock } from './install-lock.mjs';
import { hasDevelopmentPackages, isInstalled, markInstalled } from './installed-packages.mjs';
import { LaunchFailure } from './launch-failure.mjs';

/**
 * Installs the packages of `package-lock.json` with npm where they are missing or out of date, and says so in a line on
 * standard error. Several processes may call it at once: one installs, the others wait. After an installation that
 * was cut off it begins anew. Packages for tests that are there stay there.
 * @param {string} root the folder with package.json.
 * @param {import('./installed-packages.mjs').PackageSet} wanted
 */
export async function ensureInstalled(root, wanted) {
  const lockPath = join(root, '.gatehouse-install.lock');
  if (isInstalled(root, wanted) && !existsSync(lockPath)) return;
  const lock = await takeInstallLock(lockPath, (pid) =>
    say(`waiting for process ${pid}, which is installing packages.`),
  );
  try {
    if (isInstalled(root, wanted)) return lock.release();
    const keepsTests = hasDevelopmentPackages(root) || lock.cutOff?.note === 'everything';
    const set = keepsTests ? 'everything' : wanted;
    if (lock.cutOff !== null) {
      say('an earlier installation of packages was cut off; starting over.');
      rmSync(join(root, 'node_modules'), { recursive: true, force: true, maxRetries: 5 });
    }
    await install(root, set, lock);
    markInstalled(root, set);
  } catch (error) {
    // Kept after a signal, as the sign that the packages cannot be trusted.
    if (!(error instanceof CutOff)) lock.release();
    throw error;
  }
  lock.release();
}

class CutOff extends LaunchFailure {}

async function install(root, set, lock) {
  const began = performance.now();
  say(`installing packages${set === 'everything' ? ', those for tests too' : ''} (once, about a minute) …`);
  lock.update(null, set);
  const { code, signal, output } = await runNpm(root, set, (pid) => lock.update(pid, set));
  if (signal !== null) throw new CutOff(`Gatehouse: the installation of packages was ended (${signal}).`);
  if (code !== 0) throw new LaunchFailure(explain(code, output));
  say(`packages installed in ${Math.round((performance.now() - began) / 1000)} s.`);
}

const say = (text) => console.error(`Gatehouse: ${text}`);

/**
 * `npm install` without saving, not `npm ci`: it installs exactly what the lock file names too, but leaves alone what is
 * right already, so that tests can be prepared while a server runs from the same packages; and it accepts a lock file
 * that does not name the optional packages of every other platform.
 */
const npmArguments = ['install', '--no-save', '--no-audit', '--no-fund', '--no-progress', '--loglevel=error'];

function runNpm(root, set, onStart) {
  const [command, ...prefix] = findNpm();
  const selection = set === 'everything' ? ['--include=dev'] : ['--omit=dev'];
  const child = spawn(command, [...prefix, ...npmArguments, ...selection, '--include=optional'], {
    cwd: root,
    env: environmentForNpm(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (child.pid !== undefined) onStart(child.pid);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output = (output + chunk).slice(-6_000);
    });
  }
  const stop = passSignalsTo(child);
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: -1, signal: null, output: error.message }));
    child.once('close', (code, signal) => resolve({ code, signal: stop() ?? signal, output }));
  });
}

/** @returns a function that ends the passing on and tells which signal came, or null. */
function passSignalsTo(child) {
  let received = null;
  const pass = (signal) => {
    received = signal;
    child.kill('SIGTERM');
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, pass);
  return () => {
    for (const signal of signals) process.removeListener(signal, pass);
    return received;
  };
}

/** The npm that runs us, or the one beside this Node, or whichever is found first. */
function findNpm() {
  const running = process.env.npm_execpath;
  if (running !== undefined && /^npm(-cli)?\.[cm]?js$/.test(basename(running)))
    return [process.execPath, running];
  const beside = join(dirname(process.execPath), 'npm');
  return [existsSync(beside) ? beside : 'npm'];
}

/** Settings that were meant for the npm that runs us, such as `--prefix`, would lead this one astray. */
function environmentForNpm() {
  const meantForTheOther =
    /^npm_(lifecycle|package|command|config_(prefix|local_prefix|global|workspaces?|dry_run|omit|include|production))/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !meantForTheOther.test(name)));
}

function explain(code, output) {
  const said = output.trim().split('\n').slice(-15).join('\n  ');
  return `Gatehouse: npm could not install the packages (exit code ${code}). ${remedyFor(output)}\n  ${said}`;
}

function remedyFor(output) {
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|network/i.test(output)) {
    return (
      'The package registry cannot be reached. Connect this machine to the network for the first start; or name a ' +
      'registry that it can reach (npm config set registry <address>); or copy node_modules from a machine of the same kind.'
    );
  }
  if (/ENOSPC|EDQUOT/.test(output)) return 'The disk is full: make space (about 1 GB) and start again.';
  if (/EACCES|EPERM|EROFS/.test(output)) return 'Run this once as the user who owns the folder.';
  if (/spawn .* ENOENT|ENOENT.*spawn/.test(output))
    return 'npm was not found: install it together with Node.';
  return 'What npm said:';
}
