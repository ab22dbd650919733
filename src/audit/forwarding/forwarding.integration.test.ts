import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildForwarding } from '../../../test/harness/audit-forwarding.ts';
import { type Child, startChild, until } from '../../../test/harness/child.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { isSignedWith } from '../../../test/harness/receiver.ts';
import { startS3 } from '../../../test/harness/s3.ts';
import { systemClock } from '../../platform/clock.ts';
import { createIds } from '../../platform/ids.ts';
import { createLog } from '../../platform/log.ts';
import { systemRandom } from '../../platform/random.ts';
import { createSecretBox } from '../../platform/secret-box.ts';
import { createSecretReferences } from '../../platform/secret-references/index.ts';
import { createAuditStore } from '../audit.store.ts';
import { createSequencerStore } from '../sequencer.store.ts';
import { createSequencer } from '../sequencer.ts';
import { isSignedBy, publicKeyOf } from '../tree-head.ts';

const newId = createIds(systemClock, systemRandom);
const masterKey = systemRandom.bytes(32);
const common = { enabled: true, tenants: null } as const;
const program = fileURLToPath(new URL('../../../test/harness/audit-forwarding.ts', import.meta.url));

let test: TestDatabase;
let sequencer: ReturnType<typeof createSequencer>;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  test = await createTestDatabase();
  sequencer = createSequencer({
    store: createSequencerStore(test.database),
    secretBox: createSecretBox(masterKey, systemRandom),
    clock: systemClock,
    log: createLog('silent'),
    retentionDays: 90,
  });
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await sql`delete from audit_destinations`.execute(test.database.platform);
});
afterAll(() => test.drop());

function start(over: Parameters<typeof buildForwarding>[2] = {}) {
  const forwarding = buildForwarding(test.database, masterKey, over);
  forwarding.start();
  closing.push(() => forwarding.stop());
  return forwarding;
}

/** Entries with their places. @returns the tenant. */
async function logOf(count: number, tenantId = newId(), at = 0): Promise<string> {
  const store = createAuditStore(test.database);
  for (let n = 0; n < count; n++) {
    await store.note(
      { tenantId, readerTokens: [] },
      {
        action: 'test.noted',
        targetType: 'test',
        targetId: String(at + n),
        outcome: 'done',
        details: { text: 'ä\n' },
      },
    );
  }
  await until(async () => {
    await sequencer.sequence();
    const { rows } = await sql<{ loose: number }>`select count(*)::int as loose from audit_entries e
      where not exists (select from audit_leaves l where l.entry_id = e.id)`.execute(test.database.platform);
    return rows[0]?.loose === 0;
  });
  return tenantId;
}

/** Secrets that are kept elsewhere, as an instance reads them. */
function keptElsewhere(variables: ReadonlyMap<string, string>) {
  return createSecretReferences({
    variables,
    directories: [],
    vault: null,
    clock: systemClock,
    log: createLog('silent'),
  });
}

/** Octet-counted messages, as RFC 6587 has them. */
function frames(text: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < text.length; ) {
    const space = text.indexOf(32, at);
    const length = Number(text.subarray(at, space).toString());
    found.push(text.subarray(space + 1, space + 1 + length).toString());
    at = space + 1 + length;
  }
  return found;
}

/** A receiver of syslog on TCP or TLS. */
async function syslogReceiver(make: (take: (socket: Socket) => void) => Server = createServer) {
  const received: Buffer[] = [];
  const server = make((socket) => {
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part));
    socket.on('end', () => received.push(Buffer.concat(parts)));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  return {
    port: (server.address() as AddressInfo).port,
    messages: () => received.flatMap(frames),
  };
}

interface Post {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
/** A webhook's receiver; `status` may change. */
async function webhookReceiver() {
  const receiver = { url: '', status: 200, posts: [] as Post[], tried: 0, mostAtOnce: 0 };
  let open = 0;
  const server = createHttpServer((request, response) => {
    const parts: Buffer[] = [];
    receiver.mostAtOnce = Math.max(receiver.mostAtOnce, ++open);
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      receiver.tried++;
      if (receiver.status === 200)
        receiver.posts.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
      setTimeout(() => {
        open--;
        response.writeHead(receiver.status).end();
      }, 5);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.closeAllConnections() ?? server.close(resolve)));
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/audit`;
  return receiver;
}
const linesOf = (posts: readonly Post[]) => posts.flatMap(({ body }) => body.trimEnd().split('\n'));
/** The leaves of a tenant's entries among lines, in the order in which they came. */
const leavesOf = (lines: readonly string[], tenantId: string) =>
  lines
    .map((line) => JSON.parse(line))
    .filter(({ entry }) => entry?.tenant_id === tenantId)
    .map(({ leaf }) => leaf as number);
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

describe('forwarding to syslog', () => {
  it('over TCP counts octets and brings every entry in order, byte for byte, and signed heads', async () => {
    const tenant = await logOf(5);
    const receiver = await syslogReceiver();
    const forwarding = start();
    await forwarding.put('siem', {
      kind: 'syslog',
      host: '127.0.0.1',
      port: receiver.port,
      transport: 'tcp',
      ca: null,
      ...common,
    });
    const texts = await until(async () => {
      const all = receiver.messages().map((message) => message.slice(message.indexOf('{')));
      return leavesOf(all, tenant).length === 5 && all;
    });
    expect(leavesOf(texts, tenant)).toEqual(upTo(5));
    const { rows } = await sql<{ entry: string }>`select entry from audit_entries e
      join audit_leaves l on l.entry_id = e.id where e.tenant_id = ${tenant} order by leaf`.execute(
      test.database.platform,
    );
    expect(texts.filter((text) => text.startsWith('{"leaf"') && text.includes(tenant))).toEqual(
      rows.map(({ entry }, leaf) => `{"leaf":${leaf},"entry":${entry}}`),
    );
    const keys = await createAuditStore(test.database).publicKeys();
    const heads = texts.map((text) => JSON.parse(text).head).filter((head) => head?.tenant_id === tenant);
    expect(heads.at(-1)).toMatchObject({ size: 5 });
    for (const head of heads) {
      const key = publicKeyOf(keys.find(({ id }) => id === head.key_id)?.publicKey ?? '');
      const { tenant_id: tenantId, size, root, at, key_id: keyId, signature } = head;
      const signed = { tenantId, size, root: Buffer.from(root, 'hex'), at: new Date(at), keyId };
      expect(isSignedBy({ ...signed, signature: Buffer.from(signature, 'hex') }, key)).toBe(true);
    }
    const [shown] = await until(async () => {
      const listed = await forwarding.list();
      return listed[0]?.lag?.entries === 0 && listed;
    });
    expect(shown?.row.failing_since).toBeNull();
  });

  it('over TLS reaches only whom it can trust', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-tls-'));
    closing.push(() => rmSync(folder, { recursive: true }));
    const [keyFile, certificateFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const request = `req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout ${keyFile} -out ${certificateFile}`;
    execFileSync('openssl', request.split(' '), { stdio: 'ignore' });
    const cert = readFileSync(certificateFile, 'utf8');
    const receiver = await syslogReceiver((take) =>
      createTlsServer({ key: readFileSync(keyFile), cert }, take),
    );
    const tenant = await logOf(3);
    const forwarding = start();
    const destination = {
      kind: 'syslog',
      host: 'localhost',
      port: receiver.port,
      transport: 'tls',
      enabled: true,
      tenants: [tenant] as string[],
    } as const;
    await forwarding.put('siem', { ...destination, ca: null });
    const error = await until(async () => (await forwarding.list())[0]?.row.last_error);
    expect(error).toMatch(/self.signed/);
    expect(receiver.messages()).toEqual([]);
    await forwarding.put('siem', { ...destination, ca: cert });
    await until(async () => receiver.messages().length >= 4);
  });

  it('over UDP sends one datagram a line', async () => {
    const socket = createSocket('udp4');
    closing.push(() => socket.close());
    const received: string[] = [];
    socket.on('message', (message) => received.push(message.toString()));
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const tenant = await logOf(3);
    await start().put('siem', {
      kind: 'syslog',
      host: '127.0.0.1',
      port: socket.address().port,
      transport: 'udp',
      ca: null,
      enabled: true,
      tenants: [tenant],
    });
    await until(async () => received.length >= 4);
    expect(received[0]).toMatch(/^<110>1 \S+Z gatehouse-1\.test gatehouse - test\.noted - \{"leaf":0,/);
    expect(received.at(-1)).toContain(' tree_head - {"head":');
  });
});

describe('forwarding to a webhook', () => {
  it('is signed, goes on where it was when the receiver comes back, and holds nobody else up', async () => {
    const tenant = await logOf(4);
    const down = await webhookReceiver();
    const up = await webhookReceiver();
    down.status = 500;
    const forwarding = start();
    const { secret } = await forwarding.put('down', {
      kind: 'webhook',
      url: down.url,
      enabled: true,
      tenants: [tenant],
    });
    const again = await forwarding.put('down', {
      kind: 'webhook',
      url: down.url,
      enabled: true,
      tenants: [tenant],
    });
    expect(again.secret).toBeNull();
    await forwarding.put('up', { kind: 'webhook', url: up.url, enabled: true, tenants: [tenant] });
    await until(async () => leavesOf(linesOf(up.posts), tenant).length === 4);
    const failing = await until(async () => {
      const row = (await forwarding.list()).find(({ row: { name } }) => name === 'down');
      return row?.row.failing_since && row;
    });
    expect(failing).toMatchObject({ row: { last_error: 'answered with status 500' }, lag: { entries: 4 } });
    await logOf(2, tenant, 4);
    await until(async () => leavesOf(linesOf(up.posts), tenant).length === 6);
    down.status = 200;
    await until(async () => leavesOf(linesOf(down.posts), tenant).length === 6);
    expect(leavesOf(linesOf(down.posts), tenant)).toEqual(upTo(6));
    for (const { headers, body } of down.posts) {
      expect(isSignedWith(secret ?? '', { headers, body, path: '', method: 'POST', json: null })).toBe(true);
    }
  });

  it('is signed with a secret of the owner’s, as it is where it is kept; the reference is no tenant’s to give', async () => {
    const secret = (n: number) => `whsec_${Buffer.alloc(32, n).toString('base64')}`;
    const variables = new Map([['GATEHOUSE_SECRET_HOOK', secret(1)]]);
    const references = keptElsewhere(variables);
    const tenant = await logOf(1);
    const receiver = await webhookReceiver();
    const forwarding = start({ references });
    const given = {
      kind: 'webhook',
      url: receiver.url,
      enabled: true,
      tenants: [tenant] as string[],
    } as const;
    const reference = { ...given, secret: 'env:GATEHOUSE_SECRET_HOOK' };
    await expect(forwarding.put('x', reference, { isOwner: false, tenantId: tenant })).rejects.toMatchObject({
      code: 'invalid',
      errors: [{ path: 'secret' }],
    });
    const made = await forwarding.put('hook', reference);
    expect(made).toMatchObject({ secret: null, row: { secret_reference: 'env:GATEHOUSE_SECRET_HOOK' } });
    const isSigned = (n: number) => {
      const post = receiver.posts.at(-1);
      return post && isSignedWith(secret(n), { ...post, path: '', method: 'POST', json: null });
    };
    await until(async () => isSigned(1));
    variables.set('GATEHOUSE_SECRET_HOOK', secret(2));
    await references.look();
    await logOf(1, tenant, 1);
    await until(async () => isSigned(2));
    variables.set('GATEHOUSE_SECRET_HOOK', 'no-signing-secret');
    await references.look();
    await logOf(1, tenant, 2);
    const error = await until(async () => (await forwarding.list())[0]?.row.last_error);
    expect(error).toMatch(/whsec_/);
    expect(error).not.toContain('no-signing-secret');
  });

  it('refuses an address of a private network', async () => {
    await expect(
      start().put('inside', { kind: 'webhook', url: 'https://10.0.0.1/', ...common }),
    ).rejects.toMatchObject({ code: 'invalid' });
  });

  it('says what was pruned before it could be forwarded', async () => {
    const tenant = await logOf(6);
    const receiver = await webhookReceiver();
    receiver.status = 500;
    const forwarding = start();
    const tenants = [tenant];
    const destination = { kind: 'webhook' as const, url: receiver.url, enabled: true, tenants };
    await forwarding.put('late', destination);
    await sql`insert into audit_forwarded (destination, tenant_id, next_leaf, at) values ('late', ${tenant}, 0, now())`.execute(
      test.database.platform,
    );
    const store = createSequencerStore(test.database);
    await until(() => store.alone((tx) => store.prune(tx, tenant, new Date(Date.now() + 1_000), 2)));
    receiver.status = 200;
    await forwarding.put('late', destination);
    await until(async () => leavesOf(linesOf(receiver.posts), tenant).length === 4);
    expect(leavesOf(linesOf(receiver.posts), tenant)).toEqual([2, 3, 4, 5]);
    const lag = await until(async () => {
      const [shown] = await forwarding.list();
      return shown?.lag?.entries === 0 && shown.lag;
    });
    expect(lag).toMatchObject({ lost: 2, oldest: null });
  });

  it('leaves nothing out when processes are killed, and two of them do not send at once', async () => {
    const receiver = await webhookReceiver();
    const tenant = newId();
    const setUp = buildForwarding(test.database, masterKey);
    await setUp.put('siem', { kind: 'webhook', url: receiver.url, enabled: true, tenants: [tenant] });
    const startProcess = async (): Promise<Child> => {
      const child = startChild(program, [test.url, masterKey.toString('base64')]);
      closing.push(() => child.kill9());
      await child.said('forwarding');
      return child;
    };
    let total = 0;
    for (let round = 0; round < 3; round++) {
      const children = await Promise.all([startProcess(), startProcess()]);
      await logOf(10, tenant, total);
      total += 10;
      await until(async () => new Set(leavesOf(linesOf(receiver.posts), tenant)).size > total - 10);
      for (const child of children) await child.kill9();
    }
    await Promise.all([startProcess(), startProcess()]);
    await until(async () => new Set(leavesOf(linesOf(receiver.posts), tenant)).size === total);
    // In order: a leaf comes when all before it have come, whatever comes a second time.
    let next = 0;
    for (const leaf of leavesOf(linesOf(receiver.posts), tenant)) {
      expect(leaf).toBeLessThanOrEqual(next);
      next = Math.max(next, leaf + 1);
    }
    expect(receiver.mostAtOnce).toBe(1);
  });
});

describe('forwarding to S3', () => {
  it('writes an object for each hour that is over, with its heads', async () => {
    const s3 = await startS3();
    closing.push(() => s3.stop());
    const tenant = await logOf(4);
    // As if it were an hour later: what was written stays, when it was written does not matter to the tree.
    await sql`alter table audit_entries disable trigger never_updated`.execute(test.database.platform);
    await sql`update audit_entries set at = '2026-11-20T09:59:59Z' where tenant_id = ${tenant}`.execute(
      test.database.platform,
    );
    await sql`alter table audit_entries enable trigger never_updated`.execute(test.database.platform);
    const { endpoint, bucket, region, accessKeyId, secretAccessKey } = s3.config;
    // Who renews an access key renews both halves.
    const references = keptElsewhere(
      new Map([
        ['GATEHOUSE_SECRET_S3_ID', accessKeyId],
        ['GATEHOUSE_SECRET_S3', secretAccessKey],
      ]),
    );
    const forwarding = start({ references });
    await forwarding.put('archive', {
      kind: 's3',
      endpoint,
      bucket,
      region,
      prefix: 'audit',
      access_key_id: 'env:GATEHOUSE_SECRET_S3_ID',
      secret_access_key: 'env:GATEHOUSE_SECRET_S3',
      enabled: true,
      tenants: [tenant],
    });
    const client = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    });
    closing.push(() => client.destroy());
    const key = await until(async () => {
      const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
      return Contents?.[0]?.Key;
    });
    expect(key).toBe(`audit/${tenant}/2026-11-20/09/000000000000.jsonl`);
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    const lines = ((await Body?.transformToString()) ?? '').trimEnd().split('\n');
    expect(leavesOf(lines, tenant)).toEqual(upTo(4));
    expect(JSON.parse(lines.at(-1) ?? '').head).toMatchObject({ tenant_id: tenant, size: 4 });
    await logOf(1, tenant, 4);
    // What is of this hour waits for its end, and is shown to wait.
    await until(async () => (await forwarding.list())[0]?.lag?.entries === 1);
    expect((await client.send(new ListObjectsV2Command({ Bucket: bucket }))).KeyCount).toBe(1);
  });
});
