import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, removeDirectory, startServer, testAdminKey } from './harness/server.ts';

const run = promisify(execFile);
/** A block marked so is run by this test, as it stands; all of its commands must succeed. */
const marked = /<!-- run -->\n```sh\n([\s\S]*?)```/g;

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server.stop();
  await removeDirectory(server.dataDir);
});

describe('commands in the documentation', () => {
  for (const file of [
    'README.md',
    'docs/operations.md',
    'docs/cli.md',
    'docs/audit.md',
    'docs/tokens-and-keys.md',
  ]) {
    it(`${file} does what it says`, async () => {
      const blocks = [...(await readFile(file, 'utf8')).matchAll(marked)].map((match) => match[1] ?? '');
      expect(blocks.length).toBeGreaterThan(0);
      for (const block of blocks) {
        // curl is asked to fail on an error status, which it otherwise shows like an answer.
        const command = 'gatehouse() { node bin/gatehouse.mjs "$@"; }';
        const script = `set -e\n${command}\ncurl() { command curl --fail-with-body "$@"; }\n${block}`;
        const { stdout } = await run('bash', ['-c', script], {
          env: { ...process.env, GATEHOUSE_URL: server.url, GATEHOUSE_API_KEY: testAdminKey },
        });
        expect(stdout.length).toBeGreaterThan(2);
      }
    });
  }
});
