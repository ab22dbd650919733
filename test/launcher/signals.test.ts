import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isRunning, makeStubCheckout, type StubCheckout, until } from './stub-checkout.ts';

let checkout: StubCheckout;
beforeEach(() => {
  checkout = makeStubCheckout();
});
afterEach(() => checkout.remove());

async function startServer(how: 'by hand' | 'by npm') {
  const run = how === 'by npm' ? checkout.runNpmStart() : checkout.runNode(['bin/gatehouse.mjs', 'serve']);
  await checkout.noted('ready');
  return { ...run, serverPid: checkout.pidOf('started') };
}

async function serverStopsOnce(serverPid: number, signal: string) {
  await until('the server has ended', () => !isRunning(serverPid));
  expect(checkout.notes()).toEqual(['started', 'ready', signal, 'stopped']);
}

/** The launcher's process: under npm a child of npm, as the script says `exec`. */
function launcherOf(serverPid: number): number {
  const line = readFileSync(`/proc/${serverPid}/stat`, 'utf8');
  return Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[1]);
}

describe.runIf(process.platform === 'linux')('the server is stopped, once and gracefully,', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('by %s to the launcher', async (signal) => {
    const { pid, ended, serverPid } = await startServer('by hand');
    process.kill(pid, signal);
    expect(await ended).toMatchObject({ code: 0, signal: null });
    await serverStopsOnce(serverPid, signal);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('by %s to npm', async (signal) => {
    const { pid, ended, serverPid } = await startServer('by npm');
    process.kill(pid, signal);
    await ended;
    expect(isRunning(serverPid)).toBe(false);
    await serverStopsOnce(serverPid, signal);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('by %s to the whole group, as of Ctrl-C', async (signal) => {
    const { pid, ended, serverPid } = await startServer('by npm');
    process.kill(-pid, signal);
    await ended;
    expect(isRunning(serverPid)).toBe(false);
    await serverStopsOnce(serverPid, signal);
  });

  it('when its terminal is closed', async () => {
    const { pid, ended, serverPid } = await startServer('by hand');
    process.kill(-pid, 'SIGHUP');
    expect(await ended).toMatchObject({ code: 0, signal: null });
    await serverStopsOnce(serverPid, 'SIGTERM');
  });

  it.each([
    ['the launcher', (run: { pid: number; launcher: number }) => process.kill(run.launcher, 'SIGKILL')],
    ['npm', (run) => process.kill(run.pid, 'SIGKILL')],
    ['their whole group', (run) => process.kill(-run.pid, 'SIGKILL')],
  ])('when %s was killed', async (_, kill) => {
    const { pid, serverPid } = await startServer('by npm');
    const launcher = launcherOf(serverPid);
    kill({ pid, launcher });
    await serverStopsOnce(serverPid, 'SIGTERM');
    await until('the launcher and npm have ended', () => !isRunning(launcher) && !isRunning(pid));
  });
});

describe('the launcher ends as its command does', () => {
  it('with its exit code', async () => {
    expect(await checkout.runNode(['bin/gatehouse.mjs', 'exit', '7']).ended).toMatchObject({ code: 7 });
  });

  it('by its signal', async () => {
    const run = checkout.runNode(['bin/gatehouse.mjs', 'die', 'SIGKILL']);
    expect(await run.ended).toMatchObject({ code: null, signal: 'SIGKILL' });
  });

  it('and prints nothing of its own', async () => {
    const { stdout, stderr } = await checkout.runNode(['bin/gatehouse.mjs', 'print', 'a  word']).ended;
    expect({ stdout, stderr }).toEqual({ stdout: 'a  word\n', stderr: '' });
  });
});
