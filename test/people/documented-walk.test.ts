import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningServer, removeDirectory, startServer, testAdminKey } from '../harness/server.ts';
import { type SmtpReceiver, startSmtpReceiver, tokenIn } from '../harness/smtp-receiver.ts';

/** Blocks marked so are run by this test, as they stand, in one shell; all of their commands must succeed. */
const marked = /<!-- walk -->\n```sh\n([\s\S]*?)```/g;
/** In place of an app on a phone, for machines that do not have it. */
const oathtool = `oathtool() { node --input-type=module -e \
'import { Secret, TOTP } from "otpauth"; console.log(new TOTP({ secret: Secret.fromBase32(process.argv[1]) }).generate())' "$3"; }`;

let receiver: SmtpReceiver;
let server: RunningServer;
beforeAll(async () => {
  receiver = await startSmtpReceiver();
  server = await startServer({
    env: {
      GATEHOUSE_SMTP_URL: `smtp://127.0.0.1:${receiver.port}`,
      GATEHOUSE_SMTP_TLS: 'none',
      GATEHOUSE_MAIL_FROM: 'Gatehouse <no-reply@example.org>',
    },
  });
});
afterAll(async () => {
  await server.stop();
  await receiver.stop();
  await removeDirectory(server.dataDir);
});

it('docs/users.md leads from an invitation to a new password', async () => {
  const blocks = [...(await readFile('docs/users.md', 'utf8')).matchAll(marked)].map(
    ([, block]) => block ?? '',
  );
  expect(blocks.length).toBe(6);
  const script = ['set -eo pipefail', oathtool, ...blocks].join('\n');
  const shell = spawn('bash', ['-c', script], {
    env: { ...process.env, GATEHOUSE_URL: server.url, GATEHOUSE_API_KEY: testAdminKey },
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (part) => (output += part));
  const ended = new Promise((resolve) => shell.once('exit', resolve));
  await Promise.race([ended, expect.poll(() => receiver.mails.length, { timeout: 60_000 }).toBe(1)]);
  const token = tokenIn(receiver.mails[0]);
  shell.stdin.end(`${token}\n`);
  expect([await ended, output]).toEqual([0, expect.any(String)]);

  expect(output.match(/"status":"signed_in"/g)).toHaveLength(2);
  expect(output).toContain('"recovery_codes":["');
  expect(output).toMatch(
    /"current":true,"signed_in_by":"password\+code","second_factor":true,"address":"127.0.0.1"/,
  );
  expect(output).toContain('the laptop is signed out');
  expect(output).toContain('If this is the address of an account with a password, a link is on its way.');
  expect(output).toContain('everybody is signed out');
  expect(output.trim()).toMatch(/"status":"second_factor_needed".*\}$/);
  const { stdout, stderr } = server.output();
  expect(stdout + stderr).not.toContain(token);
});
