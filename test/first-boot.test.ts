import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import {
  call,
  type RunningServer,
  removeDirectory,
  startServer,
  temporaryDirectory,
} from './harness/server.ts';

const run = promisify(execFile);
const launcher = ['node', 'bin/gatehouse.mjs', 'serve'];
let server: RunningServer | undefined;
let directory: string | undefined;

afterEach(async () => {
  await server?.stop();
  if (directory) await removeDirectory(directory);
  server = undefined;
  directory = undefined;
});

/** As somebody without any setting starts it. */
async function start(dataDir: string): Promise<RunningServer> {
  return startServer({ dataDir, command: launcher, env: { GATEHOUSE_ADMIN_KEY: '' } });
}

describe('the first minutes', () => {
  it('the printed curl gets an answer whose every citation is the stored text, also far down a long path', async () => {
    directory = await temporaryDirectory();
    const dataDir = join(directory, 'a-directory-with-a-long-name-'.repeat(6), 'data');
    await mkdir(join(dataDir, '..'), { recursive: true });
    expect(dataDir.length).toBeGreaterThan(107);
    server = await start(dataDir);

    const printed = server.output().stdout;
    const curl = /^\s*(curl .*)$/m.exec(printed)?.[1] ?? '';
    const key = /(gh_[0-9A-Za-z]+)/.exec(printed)?.[1] ?? '';
    const { stdout } = await run('sh', ['-c', curl]);
    const answer = JSON.parse(stdout);
    expect(answer.covered).toBe(true);
    expect(answer.generated_by.tier).toBe('search_results');
    expect(answer.answer).toMatch(/row-level security/);
    expect(answer.answer).not.toContain('curl');
    expect(answer.citations.length).toBeGreaterThan(0);
    for (const citation of answer.citations) {
      const stored = await call(server.url, key, 'GET', `/api/v1/documents/${citation.document_id}/text`);
      expect(stored.json.text.slice(citation.start, citation.end)).toBe(citation.text);
    }

    const password = /password (\S+)/.exec(printed)?.[1];
    const signedIn = await call(server.url, '', 'POST', '/api/v1/auth/token', {
      email: 'owner@localhost',
      password,
    });
    expect(signedIn.status).toBe(200);
    const health = await call(server.url, signedIn.json.access_token, 'GET', '/api/v1/health/detailed');
    expect(health.json.status).toBe('ok');
  });

  it('after kill -9 it starts again by itself, has lost nothing and prints no secret', async () => {
    directory = await temporaryDirectory();
    server = await start(directory);
    const key = /(gh_[0-9A-Za-z]+)/.exec(server.output().stdout)?.[1] ?? '';
    const before = await call(server.url, key, 'GET', '/api/v1/documents?limit=200');
    const added = await call(server.url, key, 'POST', '/api/v1/documents', {
      title: 'Late',
      text: 'Acknowledged late.',
    });
    expect(added.status).toBe(202);
    await server.kill9();

    server = await start(directory);
    const { stdout, stderr } = server.output();
    expect(stdout).toContain('Gatehouse is ready');
    expect(stdout + stderr).not.toMatch(/gh_[0-9A-Za-z]{20}|password/i);
    const after = await call(server.url, key, 'GET', '/api/v1/documents?limit=200');
    expect(after.json.documents).toHaveLength(before.json.documents.length + 1);
    await expect
      .poll(
        async () =>
          (await call(server?.url ?? '', key, 'GET', `/api/v1/documents/${added.json.id}`)).json.status,
        {
          timeout: 30_000,
        },
      )
      .toBe('ready');
  });

  it('stops gracefully on SIGTERM and leaves no process behind', async () => {
    directory = await temporaryDirectory();
    server = await start(directory);
    const { stdout: children } = await run('sh', [
      '-c',
      `ps -eo pid,args | grep -F "${directory}" | grep -v grep || true`,
    ]);
    expect(children).toContain('postgres');
    expect(await server.stop()).toBe(0);
    server = undefined;
    await expect
      .poll(
        async () =>
          (await run('sh', ['-c', `ps -eo pid,args | grep -F "${directory}" | grep -v grep || true`])).stdout,
      )
      .toBe('');
  });

  it('says what to do when the port is taken, and when the configuration is wrong', async () => {
    directory = await temporaryDirectory();
    server = await start(directory);
    const port = new URL(server.url).port;
    const second = await temporaryDirectory();
    try {
      await expect(startServer({ dataDir: second, env: { PORT: port } })).rejects.toThrow(
        /taken by another program/,
      );
      await expect(startServer({ dataDir: directory, env: {} })).rejects.toThrow(/in use|another Gatehouse/i);
      await expect(
        startServer({ dataDir: second, env: { PORT: 'x', DATABASE_URL: 'mysql://a' } }),
      ).rejects.toThrow(/PORT[\s\S]*DATABASE_URL|DATABASE_URL[\s\S]*PORT/);
      await expect(
        startServer({ dataDir: second, env: { DATABASE_URL: 'postgres://nobody@127.0.0.1:9/none' } }),
      ).rejects.toThrow(/cannot be reached/);
    } finally {
      await removeDirectory(second);
    }
  });
});
