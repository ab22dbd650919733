import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sql } from 'kysely';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Guest } from './audit/guest.ts';
import { until } from './harness/child.ts';
import { createTestDatabase, type TestDatabase } from './harness/database.ts';
import { type RunningServer, removeDirectory, startServer, testAdminKey } from './harness/server.ts';

/*
 * A day in which every kind of secret is made, shown, used, mistyped, and sent to others who say it back in their errors.
 * After it no secret stands in a line of the log, an entry of the audit log, the metrics, an answer that was not meant to
 * give it, or a table.
 */

/** What was used today, by what it is. */
const secrets = new Map<string, string>();
/** Answers that give a secret away on purpose, once, are not among them. */
const answers: { readonly to: string; readonly text: string }[] = [];
let test: TestDatabase;
let server: RunningServer;
let parrot: Server;
let parrotUrl: string;

const fresh = (kind: string): string => {
  const secret = `${kind.replaceAll(' ', '-')}-${randomBytes(15).toString('hex')}`;
  secrets.set(kind, secret);
  return secret;
};
const remember = (kind: string, secret: unknown): string => {
  expect([kind, typeof secret]).toEqual([kind, 'string']);
  secrets.set(kind, String(secret));
  return String(secret);
};

/** Somebody elsewhere who answers with an error that says back all that it was sent. */
async function startParrot(): Promise<void> {
  parrot = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const path = request.url ?? '';
    if (path.endsWith('/.well-known/openid-configuration')) {
      const issuer = parrotUrl;
      const metadata = {
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/keys`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      };
      return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(metadata));
    }
    const said = `You sent ${JSON.stringify(request.headers)} and ${body} to ${path}`;
    const status = path.includes('unavailable') ? 503 : path.includes('/token') ? 400 : 401;
    response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(
        JSON.stringify({ error: { message: said, type: 'invalid_request_error', code: 'invalid_api_key' } }),
      );
  });
  await new Promise<void>((resolve) => parrot.listen(0, '127.0.0.1', resolve));
  parrotUrl = `http://127.0.0.1:${(parrot.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  test = await createTestDatabase();
  await startParrot();
  remember('owner key', testAdminKey);
  server = await startServer({
    env: {
      DATABASE_URL: test.url,
      DATABASE_POOL_MIN: '2',
      DATABASE_POOL_MAX: '10',
      LOG_LEVEL: 'debug',
      GATEHOUSE_NOTIFY_ALLOW: '127.0.0.1',
      GATEHOUSE_MASTER_KEY: remember('master key', randomBytes(32).toString('base64')),
      OPENAI_API_KEY: fresh('provider key of the environment'),
      OPENAI_BASE_URL: `${parrotUrl}/v1`,
    },
  });
});
afterAll(async () => {
  await server.stop();
  parrot.closeAllConnections();
  await new Promise((resolve) => parrot.close(resolve));
  await test.drop();
  await removeDirectory(server.dataDir);
});

/** A request whose answer gives no secret. @returns the answer. */
async function ask(guest: Guest | null, method: string, path: string, body?: unknown, headers = {}) {
  const reply =
    guest === null
      ? await server.call(method, path, body, headers)
      : await guest.send(method, path, body, headers);
  answers.push({ to: `${method} ${path}`, text: `${reply.text} ${JSON.stringify([...reply.headers])}` });
  return reply;
}
/** A request whose answer may give one. */
async function take(method: string, path: string, body?: unknown): Promise<any> {
  const { status, json, text } = await server.call(method, path, body);
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`);
  return json;
}

async function people(): Promise<void> {
  const password = fresh('password');
  const email = 'kim@example.org';
  const invited = await take('POST', '/api/v1/users/invitations', { email });
  const guest = new Guest(server.url);
  await guest.send('POST', '/api/v1/auth/invitations/accept', {
    token: remember('invitation', invited.token),
    password,
  });
  await ask(guest, 'POST', '/api/v1/auth/invitations/accept', { token: invited.token, password: 'short' });
  await ask(guest, 'POST', '/api/v1/auth/sign-in', { email, password: fresh('wrong password') });
  await ask(guest, 'POST', '/api/v1/auth/sign-in', {
    email: 5,
    password: fresh('password with a bad address'),
  });
  const totp = await guest.send('POST', '/api/v1/auth/totp', { password });
  const seed = remember('seed of codes', totp.json.secret);
  const otp = new TOTP({ secret: Secret.fromBase32(seed) }).generate();
  const codes = await guest.send('POST', '/api/v1/auth/totp/confirm', { otp });
  const [code = ''] = codes.json.recovery_codes;
  remember('recovery code', code);
  const waiting = await new Guest(server.url).send('POST', '/api/v1/auth/sign-in', { email, password });
  const sign_in = remember('waiting sign-in', waiting.json.sign_in);
  await ask(null, 'POST', '/api/v1/auth/sign-in/second-factor', { sign_in, otp: '000000' });
  const done = new Guest(server.url);
  await done.send('POST', '/api/v1/auth/sign-in/second-factor', { sign_in, recovery_code: code });
  remember('session', done.cookies.get('gatehouse'));
  remember('csrf token', done.cookies.get('gatehouse-csrf'));
  await ask(done, 'GET', '/api/v1/auth/account');
  await ask(done, 'GET', '/api/v1/auth/sessions');
  await ask(done, 'POST', '/api/v1/auth/sign-out', undefined, { 'x-csrf-token': fresh('wrong csrf token') });
  const reset = await take('POST', `/api/v1/users/${(await firstUser(email)).id}/password-reset`);
  const token = remember('reset', reset.token);
  await ask(done, 'POST', '/api/v1/auth/password/reset', { token, password: 'x' });
  await ask(done, 'POST', '/api/v1/auth/password/reset', { token, password: fresh('new password') });
}

async function firstUser(email: string): Promise<{ id: string }> {
  const { users } = await take('GET', '/api/v1/users');
  return users.find((user: { email: string }) => user.email === email);
}

async function tokensAndKeys(): Promise<void> {
  const made = await take('POST', '/api/v1/keys', { name: 'app', role: 'admin' });
  const key = remember('API key', made.key);
  const rotated = await take('POST', `/api/v1/keys/${made.id}/rotate`, { grace_seconds: 60 });
  remember('rotated API key', rotated.key);
  const given = await take('POST', '/api/v1/auth/token', {
    grant_type: 'client_credentials',
    client_id: made.id,
    client_secret: rotated.key,
  });
  const token = remember('access token', given.access_token);
  remember('signature of the access token', token.split('.')[2]);
  const asToken = { authorization: `Bearer ${token}` };
  const stranger = new Guest(server.url);
  await ask(stranger, 'GET', '/api/v1/keys', undefined, asToken);
  await ask(stranger, 'GET', '/api/v1/keys', undefined, { authorization: `Bearer ${token}x` });
  await ask(stranger, 'GET', '/api/v1/keys', undefined, { 'x-api-key': `${key.slice(0, -1)}!` });
  await ask(stranger, 'POST', '/api/v1/keys', { name: fresh('no secret') && 5 }, asToken);
  await ask(stranger, 'POST', '/api/v1/auth/token', {
    grant_type: 'refresh_token',
    refresh_token: fresh('refresh token'),
  });
  await ask(stranger, 'POST', '/api/v1/auth/token', {
    grant_type: 'client_credentials',
    client_id: made.id,
    client_secret: fresh('client secret'),
  });
  await ask(stranger, 'POST', '/api/v1/auth/token', `{"client_secret":"${fresh('secret in bad JSON')}`, {
    'content-type': 'application/json',
  });
  await ask(null, 'POST', '/api/v1/auth/revoke', { token });
  const again = { 'idempotency-key': 'once' };
  const once = await server.call('POST', '/api/v1/keys', { name: 'once' }, again);
  remember('API key that is told twice', once.json.key);
  await server.call('POST', '/api/v1/keys', { name: 'once' }, again);
  await ask(null, 'GET', '/api/v1/keys');
}

async function providers(): Promise<void> {
  const stored = { kind: 'openai', base_url: `${parrotUrl}/v1`, api_key: fresh('provider key') };
  expect((await ask(null, 'POST', '/api/v1/providers', { name: 'parrot', ...stored })).status).toBe(201);
  const second = { ...stored, base_url: `${parrotUrl}/unavailable/v1`, api_key: fresh('other provider key') };
  await ask(null, 'POST', '/api/v1/providers', { name: 'away', ...second });
  await ask(null, 'POST', '/api/v1/providers', {
    name: 'wrong',
    kind: 'none',
    api_key: fresh('key of a wrong request'),
  });
  await ask(null, 'POST', '/api/v1/providers', {
    name: 'claude',
    kind: 'anthropic',
    base_url: parrotUrl,
    api_key: fresh('key of another dialect'),
  });
  const messages = [{ role: 'user', content: 'Hello' }];
  for (const model of [
    'openai/gpt-4o-mini',
    'parrot/gpt-4o-mini',
    'away/gpt-4o-mini',
    'claude/claude-sonnet-4-5',
  ]) {
    for (const stream of [false, true]) {
      await ask(null, 'POST', '/v1/chat/completions', { model, messages, stream });
      await ask(null, 'POST', '/v1/messages', { model, messages, stream, max_tokens: 10 });
    }
    await ask(null, 'POST', '/v1/embeddings', { model, input: 'Hello' });
    await ask(null, 'POST', '/v1/responses', { model, input: 'Hello' });
  }
  await ask(null, 'POST', '/api/v1/query', { query: 'What is Gatehouse?', model: 'parrot/gpt-4o-mini' });
  await ask(null, 'GET', '/api/v1/providers');
  await ask(null, 'GET', '/api/v1/providers/health');
}

async function others(): Promise<void> {
  const channel = await take('POST', '/api/v1/notifications/channels', {
    kind: 'webhook',
    name: 'hook',
    url: `${parrotUrl}/hook`,
  });
  const shown = JSON.stringify(channel);
  const signing = /whsec_[A-Za-z0-9+/=]+/.exec(shown)?.[0];
  remember('signing secret of a channel', signing);
  // Whoever knows such an address may write there.
  const slack = await ask(null, 'POST', '/api/v1/notifications/channels', {
    kind: 'slack',
    name: 'slack',
    url: `${parrotUrl.replace('http:', 'https:')}/services/${fresh('address at Slack')}`,
  });
  expect(slack.status).toBe(201);
  await ask(null, 'POST', `/api/v1/notifications/channels/${slack.json.id}/test`);
  await ask(null, 'POST', '/api/v1/notifications/channels', {
    kind: 'pagerduty',
    name: 'pager',
    routing_key: fresh('routing-key').replaceAll('-', '').slice(-32),
  });
  await ask(null, 'POST', `/api/v1/notifications/channels/${channel.id}/test`);
  await ask(null, 'GET', '/api/v1/notifications/channels');
  await until(async () => {
    const { json } = await ask(null, 'GET', '/api/v1/notifications/deliveries');
    return json.deliveries.filter((one: { attempts: number }) => one.attempts > 0).length >= 2;
  });
  const forwarding = await take('PUT', '/api/v1/audit-logs/forwarding/hook', {
    kind: 'webhook',
    url: `${parrotUrl}/log`,
  });
  remember('signing secret of forwarding', /whsec_[A-Za-z0-9+/=]+/.exec(JSON.stringify(forwarding))?.[0]);
  await ask(null, 'PUT', '/api/v1/audit-logs/forwarding/bucket', {
    kind: 's3',
    bucket: 'logs',
    endpoint: parrotUrl,
    access_key_id: 'a-test-id',
    secret_access_key: fresh('secret of a bucket'),
  });
  await ask(null, 'GET', '/api/v1/audit-logs/forwarding');
  const issuer = {
    kind: 'oidc',
    issuer: parrotUrl,
    client_id: 'gatehouse',
    client_secret: fresh('secret at an issuer'),
    domains: ['example.org'],
  };
  await ask(null, 'PUT', '/api/v1/auth/providers/parrot', issuer);
  await ask(null, 'PUT', '/api/v1/auth/providers/wrong', { ...issuer, issuer: 'https://10.0.0.1' });
  const browser = new Guest(server.url);
  const begun = await browser.send('GET', '/api/v1/auth/providers/parrot/start');
  expect(begun.status).toBe(302);
  const state = remember('state', new URL(String(begun.headers.get('location'))).searchParams.get('state'));
  const callback = '/api/v1/auth/providers/parrot/callback';
  const { status } = await ask(browser, 'GET', `${callback}?state=${state}&code=${fresh('code')}`);
  expect(status).toBe(401);
}

/** The database says no in the middle of what handles secrets, and its errors quote rows. */
async function troubles(): Promise<void> {
  const { platform } = test.database;
  await sql`alter table audit_entries add constraint full_disk check (false) not valid`.execute(platform);
  await sql`alter table idempotency_keys add constraint full_disk check (false) not valid`.execute(platform);
  const password = fresh('password in trouble');
  for (const [method, path, body] of [
    ['POST', '/api/v1/keys', { name: 'in trouble' }],
    ['POST', '/api/v1/users/invitations', { email: 'lee@example.org' }],
    ['POST', '/api/v1/auth/sign-in', { email: 'owner@localhost', password }],
    [
      'POST',
      '/api/v1/providers',
      { name: 'trouble', kind: 'openai', base_url: parrotUrl, api_key: fresh('provider key in trouble') },
    ],
    [
      'POST',
      '/api/v1/notifications/channels',
      {
        kind: 'slack',
        name: 'trouble',
        url: `${parrotUrl.replace('http:', 'https:')}/${fresh('address in trouble')}`,
      },
    ],
  ] as const) {
    const reply = await ask(null, method, path, body, { 'idempotency-key': path });
    expect([path, reply.status, reply.text]).toEqual([
      path,
      expect.toSatisfy((one: number) => one >= 500),
      reply.text,
    ]);
    expect(reply.text).not.toMatch(/full_disk|constraint|audit_entries|idempotency_keys|\bat \S+\.ts/);
  }
  await sql`alter table audit_entries drop constraint full_disk`.execute(platform);
  await sql`alter table idempotency_keys drop constraint full_disk`.execute(platform);
}

/** What log readers would take for lines, fields or colours of ours. */
async function injections(): Promise<void> {
  const line = '%0D%0A%7B%22level%22%3A%22info%22%2C%22msg%22%3A%22forged%22%7D%1B%5B31m';
  await ask(null, 'GET', `/api/v1/keys/${line}?q=${line}`);
  await ask(null, 'GET', `/nowhere${line}`);
  const text = 'x\r\n{"level":"info","msg":"forged"}\u001b[31m\u2028';
  await ask(null, 'POST', '/api/v1/keys', { name: text });
  await ask(null, 'POST', '/v1/chat/completions', {
    model: text,
    messages: [{ role: 'user', content: text }],
  });
  await ask(
    null,
    'POST',
    '/api/v1/auth/sign-in',
    { email: text, password: text },
    { 'user-agent': 'x\u0001y' },
  ).catch(() => {});
}

async function everyRow(): Promise<string[]> {
  const { platform } = test.database;
  const { rows: tables } = await sql<{ name: string }>`
    select relname as name from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace`.execute(
    platform,
  );
  const all: string[] = [];
  for (const { name } of tables) {
    const { rows } = await sql<{ row: string }>`select t::text as row from ${sql.table(name)} t`.execute(
      platform,
    );
    all.push(...rows.map(({ row }) => `${name}: ${row}`));
  }
  return all;
}

/** As it is, and as bytes are written. */
const spellings = (secret: string) => [
  secret,
  encodeURIComponent(secret),
  Buffer.from(secret).toString('hex'),
  Buffer.from(secret).toString('base64').replace(/=+$/, '').slice(0, -1),
];
/** What an answer gives to those who may have it, again and again. */
const given: Readonly<Record<string, string>> = {
  'GET /api/v1/auth/account': 'csrf token',
};
const namesIn = (text: string): string[] =>
  [...secrets]
    .filter(([, secret]) => spellings(secret).some((one) => text.includes(one)))
    .map(([kind]) => kind);

it('leaves no secret where none belongs', async () => {
  await people();
  await tokensAndKeys();
  await providers();
  await others();
  await troubles();
  await injections();
  const metrics = await server.call('GET', '/metrics');
  expect(secrets.size).toBeGreaterThan(35);

  expect(answers.length).toBeGreaterThan(60);
  expect(
    answers
      .map(({ to, text }) => [to, namesIn(text).filter((kind) => kind !== given[to])])
      .filter(([, found]) => found?.length),
  ).toEqual([]);
  // Nor what only serves to compare or to be opened.
  for (const { to, text } of answers)
    expect([to, text]).toEqual([to, expect.not.stringMatching(/\$argon2|_hash"|"sealed_/)]);
  expect(namesIn(metrics.text)).toEqual([]);
  const rows = await everyRow();
  expect(rows.some((row) => row.startsWith('audit_entries: '))).toBe(true);
  expect(rows.map((row) => [row.slice(0, 30), namesIn(row)]).filter(([, found]) => found?.length)).toEqual(
    [],
  );

  const lines = server.output().stderr.trimEnd().split('\n');
  expect(lines.length).toBeGreaterThan(80);
  expect(
    lines.map((line) => [line.slice(0, 300), namesIn(line)]).filter(([, found]) => found?.length),
  ).toEqual([]);
  expect(namesIn(server.output().stdout)).toEqual([]);
  for (const line of lines) {
    const said = JSON.parse(line);
    expect(said).toMatchObject({ level: expect.any(String), msg: expect.not.stringMatching(/^forged/) });
    expect(said.timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(line).not.toMatch(/\p{Cc}/u);
  }
});
