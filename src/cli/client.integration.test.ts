import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Client, createClient } from './client.ts';
import { ServerRefusal, ServerUnreachable } from './client-errors.ts';
import { type FileOutcome, sendFiles } from './ingest/send-files.ts';

/** What the other end says; each test sets its own. Real sockets: what is tested is what happens on the wire. */
let answer: (request: IncomingMessage, body: string, response: ServerResponse) => void;
let server: Server;
let client: Client;
let slept: number[];

beforeEach(async () => {
  slept = [];
  server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      return; // The caller left in the middle of sending.
    }
    answer(request, Buffer.concat(parts).toString(), response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  client = clientOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'gh_test');
});
afterEach(async () => {
  await client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const clock = {
  monotonicMs: () => performance.now(),
  async sleep(ms: number, signal?: AbortSignal) {
    signal?.throwIfAborted();
    slept.push(ms);
    await new Promise((resolve) => setImmediate(resolve));
  },
};

function clientOf(url: string, apiKey: string | null): Client {
  return createClient({ url, apiKey, tenant: 'acme', caFile: null, clock });
}

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) {
  response.writeHead(status, {
    'content-type': status < 400 ? 'application/json' : 'application/problem+json',
    ...headers,
  });
  response.end(JSON.stringify(body));
}

const problem = (status: number, code: string, detail: string, more = {}) => ({
  type: `urn:gatehouse:problem:${code}`,
  title: code,
  status,
  code,
  detail,
  correlation_id: 'corr-0001',
  ...more,
});

async function refusal(work: Promise<unknown>): Promise<ServerRefusal> {
  const error = await work.then(
    () => new Error('it was not refused'),
    (thrown) => thrown,
  );
  if (error instanceof ServerRefusal) return error;
  throw error;
}

describe('a call', () => {
  it('carries the key and the tenant, and gives the JSON', async () => {
    answer = (request, body, response) =>
      json(response, 200, {
        key: request.headers.authorization,
        tenant: request.headers['x-tenant-id'],
        body: JSON.parse(body),
      });
    expect(await client.call('POST', '/api/v1/keys', { body: { name: 'x' } })).toEqual({
      key: 'Bearer gh_test',
      tenant: 'acme',
      body: { name: 'x' },
    });
  });

  it('gives null for an answer without a body', async () => {
    answer = (_request, _body, response) => response.writeHead(204).end();
    expect(await client.call('DELETE', '/api/v1/keys/x')).toBeNull();
  });

  it('turns a problem document into sentences with the correlation id', async () => {
    answer = (_request, _body, response) =>
      json(
        response,
        422,
        problem(422, 'invalid', 'The input is invalid.', {
          errors: [{ path: 'name', message: 'is too long' }],
        }),
      );
    const error = await refusal(client.call('POST', '/api/v1/keys', { body: {} }));
    expect(error.message).toBe('The input is invalid. name: is too long. (422, correlation id corr-0001)');
    expect(error).toMatchObject({ status: 422, code: 'invalid', correlationId: 'corr-0001' });
  });

  it('says what to do about a key that is missing or not accepted', async () => {
    answer = (_request, _body, response) => json(response, 401, problem(401, 'unauthenticated', 'No.'));
    expect((await refusal(client.call('GET', '/x'))).message).toContain('keys create --role owner --offline');
    const keyless = clientOf(client.url, null);
    expect((await refusal(keyless.call('GET', '/x'))).message).toContain(
      'Give one with --key or GATEHOUSE_API_KEY',
    );
    await keyless.close();
  });

  it('does not follow a redirect with the key', async () => {
    answer = (_request, _body, response) =>
      response.writeHead(308, { location: 'https://elsewhere.example/' }).end();
    expect((await refusal(client.call('GET', '/x'))).message).toContain(
      'points elsewhere, to https://elsewhere.example/',
    );
  });

  it('notices what is no Gatehouse', async () => {
    answer = (_request, _body, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
    await expect(client.call('GET', '/x')).rejects.toThrow('is not a Gatehouse');
    answer = (_request, _body, response) =>
      response.writeHead(502, { 'content-type': 'text/html' }).end('<html>');
    expect((await refusal(client.call('GET', '/x'))).message).toContain('perhaps not a Gatehouse');
  });

  it('says how to start a server when none is there', async () => {
    const { port } = server.address() as AddressInfo;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const error = await client.call('GET', '/x').catch((thrown: Error) => thrown);
    expect(error).toBeInstanceOf(ServerUnreachable);
    expect((error as Error).message).toBe(
      `No Gatehouse answers at http://127.0.0.1:${port}: nothing listens there. Start one with "npm start", or say where it is with --url or GATEHOUSE_URL.`,
    );
  });

  it('waits as long as an overloaded server asks, and tries again', async () => {
    let calls = 0;
    answer = (_request, _body, response) => {
      calls++;
      if (calls === 1) json(response, 429, problem(429, 'rate_limited', 'Later.'), { 'retry-after': '7' });
      else if (calls === 2) json(response, 503, problem(503, 'overloaded', 'Later.'));
      else json(response, 200, { calls });
    };
    expect(await client.call('GET', '/x', { retries: 5 })).toEqual({ calls: 3 });
    expect(slept).toEqual([7_000, 2_000]);
  });

  it('gives up after its bound, and at once when asked for too much patience', async () => {
    let calls = 0;
    let headers: Record<string, string> = {};
    answer = (_request, _body, response) => {
      calls++;
      json(response, 503, problem(503, 'overloaded', 'Later.'), headers);
    };
    expect((await refusal(client.call('GET', '/x', { retries: 3 }))).status).toBe(503);
    expect(calls).toBe(4);
    expect(slept).toEqual([1_000, 2_000, 4_000]);
    headers = { 'retry-after': '3600' };
    expect((await refusal(client.call('GET', '/x', { retries: 3 }))).status).toBe(503);
    expect(calls).toBe(5);
  });

  it('does not repeat what a server refuses for good', async () => {
    let calls = 0;
    answer = (_request, _body, response) => {
      calls++;
      json(response, 422, problem(422, 'invalid', 'No.'));
    };
    await refusal(client.call('GET', '/x', { retries: 3 }));
    expect(calls).toBe(1);
  });

  it('ends at once when it is interrupted', async () => {
    const stop = new AbortController();
    answer = () => stop.abort(new Error('enough'));
    await expect(client.call('GET', '/x', { signal: stop.signal, retries: 5 })).rejects.toThrow('enough');
  });
});

describe('sending files', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gatehouse-send-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function fileOf(name: string, content = name) {
    const path = join(folder, name);
    writeFileSync(path, content);
    return { path, externalId: `folder/${name}`, bytes: content.length };
  }

  async function send(
    files: ReturnType<typeof fileOf>[],
    options: { wait?: boolean; signal?: AbortSignal; concurrency?: number } = {},
  ) {
    const outcomes: FileOutcome[] = [];
    await sendFiles(client, files, {
      acl: { roles: [], groups: ['hr'], users: [] },
      concurrency: options.concurrency ?? 3,
      wait: options.wait ?? true,
      clock,
      signal: options.signal ?? new AbortController().signal,
      onOutcome: (outcome) => outcomes.push(outcome),
    });
    return Object.fromEntries(outcomes.map((outcome) => [outcome.file.externalId, outcome]));
  }

  const field = (body: string, name: string) =>
    new RegExp(`name="${name}"\\r\\n\\r\\n([^\\r]*)`).exec(body)?.[1];
  const document = (id: string, status: string, more = {}) => ({
    id,
    status,
    version: 1,
    reason: null,
    detail: null,
    ...more,
  });

  it('follows each document until it is searchable or has failed', async () => {
    const polls = new Map<string, number>();
    const forms: string[] = [];
    answer = (request, body, response) => {
      if (request.method === 'POST') {
        forms.push(body);
        const id = field(body, 'external_id')?.split('/')[1] ?? '';
        if (id === 'known.md') return json(response, 200, document(id, 'ready'));
        if (id === 'evil.md') return json(response, 422, problem(422, 'invalid', 'Not a document.'));
        return json(response, 202, document(id, 'queued'));
      }
      const id = request.url?.split('/').at(-1) ?? '';
      polls.set(id, (polls.get(id) ?? 0) + 1);
      if ((polls.get(id) ?? 0) < 3) return json(response, 200, document(id, 'parsing'));
      if (id === 'broken.md') {
        return json(
          response,
          200,
          document(id, 'failed', { reason: 'encrypted', detail: 'It needs a password.' }),
        );
      }
      return json(response, 200, document(id, 'ready'));
    };
    const names = ['a.md', 'b.md', 'broken.md', 'evil.md', 'known.md'];
    const outcomes = await send(names.map((name) => fileOf(name)));
    expect(outcomes).toMatchObject({
      'folder/a.md': { result: 'searchable', documentId: 'a.md' },
      'folder/b.md': { result: 'searchable' },
      'folder/broken.md': { result: 'failed', reason: 'encrypted', detail: 'It needs a password.' },
      'folder/evil.md': { result: 'failed', reason: 'invalid', detail: expect.stringContaining('corr-0001') },
      'folder/known.md': { result: 'unchanged' },
    });
    expect(forms.every((form) => field(form, 'acl') === '{"roles":[],"groups":["hr"],"users":[]}')).toBe(
      true,
    );
    expect(forms.find((form) => form.includes('filename="a.md"'))).toContain('a.md\r\n');
  });

  it('does not wait when it is not to', async () => {
    answer = (request, _body, response) =>
      json(response, request.method === 'POST' ? 202 : 500, document('1', 'queued'));
    expect(await send([fileOf('a.md')], { wait: false })).toMatchObject({
      'folder/a.md': { result: 'sent' },
    });
  });

  it('never has more under way than it may', async () => {
    let open = 0;
    let most = 0;
    answer = (_request, _body, response) => {
      open++;
      most = Math.max(most, open);
      setImmediate(() => {
        open--;
        json(response, 200, document('1', 'ready'));
      });
    };
    await send(
      Array.from({ length: 20 }, (_, i) => fileOf(`${i}.md`)),
      { concurrency: 2 },
    );
    expect(most).toBeLessThanOrEqual(2);
  });

  it('lists a file that cannot be read and goes on', async () => {
    answer = (_request, _body, response) => json(response, 200, document('1', 'ready'));
    const gone = fileOf('gone.md');
    rmSync(gone.path);
    const outcomes = await send([gone, fileOf('there.md')]);
    expect(outcomes).toMatchObject({
      'folder/gone.md': { result: 'failed', reason: 'unreadable' },
      'folder/there.md': { result: 'unchanged' },
    });
  });

  it('lists a file that changes while it is being sent', async () => {
    answer = (_request, _body, response) => json(response, 200, document('1', 'ready'));
    const changing = fileOf('changing.md', 'x'.repeat(8 * 1024 * 1024));
    const received = new Promise<void>((resolve) => {
      server.on('request', () => {
        // The first bytes have arrived; most of the file is still to be read.
        appendFileSync(changing.path, 'more');
        resolve();
      });
    });
    const outcomes = await send([changing]);
    await received;
    expect(outcomes).toMatchObject({ 'folder/changing.md': { result: 'failed', reason: 'unreadable' } });
  });

  it('stops as a whole when the key is not accepted', async () => {
    let calls = 0;
    answer = (_request, _body, response) => {
      calls++;
      json(response, 401, problem(401, 'unauthenticated', 'No.'));
    };
    const files = Array.from({ length: 50 }, (_, i) => fileOf(`${i}.md`));
    expect((await refusal(send(files))).status).toBe(401);
    expect(calls).toBeLessThanOrEqual(3);
  });

  it('stops cleanly in the middle when it is interrupted', async () => {
    const stop = new AbortController();
    let calls = 0;
    answer = (_request, _body, response) => {
      calls++;
      if (calls === 5) stop.abort(new Error('enough'));
      else json(response, 202, document(String(calls), 'queued'));
    };
    const files = Array.from({ length: 50 }, (_, i) => fileOf(`${i}.md`));
    await expect(send(files, { signal: stop.signal, wait: false })).rejects.toThrow('enough');
    expect(calls).toBeLessThan(50);
  });
});
