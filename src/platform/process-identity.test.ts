import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { identifyProcess, parseProcessStat, stillRuns } from './process-identity.ts';

describe('process identity', () => {
  it('knows a process from its beginning to its end', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    await once(child, 'spawn');
    const identity = identifyProcess(child.pid ?? 0);
    expect(identity?.pid).toBe(child.pid);
    expect(identity && stillRuns(identity)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(identity && stillRuns(identity)).toBe(false);
  });

  it('does not take a later process under the same number for the recorded one', () => {
    expect(stillRuns({ pid: process.pid, startedAt: 'another time' })).toBe(false);
  });

  it('believes the number alone where the start was not told', () => {
    expect(stillRuns({ pid: process.pid, startedAt: null })).toBe(true);
  });

  it('says that nobody runs under an impossible number', () => {
    for (const pid of [0, -1, 2 ** 30, 1.5, Number.NaN]) expect(identifyProcess(pid)).toBeNull();
  });
});

describe('parseProcessStat', () => {
  const rest = '1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0';

  it('counts the fields from the end of a name that holds spaces and parentheses', () => {
    expect(parseProcessStat(`42 (a) b (c)) S ${rest}`)).toEqual({
      name: 'a) b (c)',
      state: 'S',
      parentPid: 1,
      startTicks: '4711',
    });
  });

  it('gives null for what is not such a line', () => {
    for (const text of ['', '42', '42 (name', '42 (name) S 1']) expect(parseProcessStat(text)).toBeNull();
  });
});
