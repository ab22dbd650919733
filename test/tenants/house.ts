import { createSimulator } from '../../tools/simulator/server.ts';
import { call, type Reply, type RunningServer, removeDirectory, startServer } from '../harness/server.ts';
import { type Operation, operationsOf } from '../permissions/matrix.ts';

/** A tenant with one of everything that a tenant can have. */
export interface Tenant {
  readonly slug: string;
  readonly id: string;
  /** Keys of its people, by role. */
  readonly keys: Readonly<Record<string, string>>;
  /** Ids and names of what it has: no one else has, and no one else may learn, any of them. */
  readonly ids: readonly string[];
  /** Words that stand in its documents, questions, names and settings, and nowhere else. */
  readonly secrets: readonly string[];
  /** Those of them that attempts name; the others are never said, so that whoever says them has learnt them. */
  readonly named: readonly string[];
  /** Cursors that its lists gave out. */
  readonly cursors: readonly string[];
}

export interface House {
  readonly server: RunningServer;
  readonly operations: readonly (Operation & { readonly schema: OperationSchema })[];
  readonly tenants: readonly Tenant[];
  /** A tenant that has nothing but one key. */
  newcomer(role: string): Promise<Pick<Tenant, 'keys'>>;
  /** Everything that the tenant's administrators can list and read, as one text. */
  holdings(tenant: Tenant): Promise<string[]>;
  stop(): Promise<void>;
}

/** What the published document says of an operation's input, as far as it is needed to make some up. */
export interface OperationSchema {
  readonly parameters?: readonly { in: string; name: string; schema?: Schema }[];
  readonly requestBody?: { content?: Record<string, { schema?: Schema }> };
}
export interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly format?: string;
  readonly minimum?: number;
  readonly default?: unknown;
}

const peopleRoles = ['viewer', 'analyst', 'operator', 'admin'] as const;
/** Every tenant's, made of its slug; long enough to be nowhere by chance. */
const secretsOf = (slug: string) => [`${slug}kittiwake`, `${slug}guillemot`, `${slug}fulmar`];

/**
 * A whole server on ten database connections, with four tenants that each hold one of everything; a provider that
 * answers from what it is shown; answers in the caches.
 */
export async function openHouse(seed: number): Promise<House> {
  const simulator = createSimulator({ seed });
  const upstream = await simulator.start();
  const server = await startServer({ env: { DATABASE_POOL_MIN: '2', DATABASE_POOL_MAX: '10' } });
  const { json: document } = await server.call('GET', '/api/v1/openapi.json');
  const tenants: Tenant[] = [];
  let newcomers = 0;
  const stop = async () => {
    await server.stop();
    await simulator.stop();
    await removeDirectory(server.dataDir);
  };
  try {
    for (const slug of ['northrealm', 'southrealm', 'eastrealm', 'westrealm']) {
      tenants.push(await furnish(server, slug, `${upstream.url}/v1`));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const operations = operationsOf(document).map((operation) => ({
    ...operation,
    schema: document.paths[operation.path][operation.method.toLowerCase()] as OperationSchema,
  }));
  return {
    server,
    operations,
    tenants,
    async newcomer(role) {
      const slug = `newcomer${++newcomers}`;
      await server.call('POST', '/api/v1/tenants', { name: slug, slug });
      const made = await server.call('POST', '/api/v1/keys', { name: role, role }, { 'x-tenant-id': slug });
      if (made.status !== 201) throw new Error(`no key for ${slug}: ${made.status} ${made.text}`);
      return { keys: { [role]: made.json.key } };
    },
    holdings: (tenant) => holdingsOf(server, operations, tenant),
    stop,
  };
}

async function furnish(server: RunningServer, slug: string, providerUrl: string): Promise<Tenant> {
  const [word = '', second = '', third = ''] = secretsOf(slug);
  const ids: string[] = [];
  const made = async (key: string | null, method: string, path: string, body?: unknown): Promise<any> => {
    const reply: Reply = key
      ? await call(server.url, key, method, path, body)
      : await server.call(method, path, body, { 'x-tenant-id': slug });
    if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
    for (const id of [reply.json?.id, reply.json?.entries?.[0]?.entry?.id]) {
      if (typeof id === 'string' && id.length > 8) ids.push(id);
    }
    return reply.json;
  };
  const { json: tenant } = await server.call('POST', '/api/v1/tenants', { name: `Realm of ${third}`, slug });
  const keys: Record<string, string> = {};
  for (const role of peopleRoles) {
    const key = await made(null, 'POST', '/api/v1/keys', { name: `${role} ${second}`, role });
    keys[role] = key.key;
  }
  const admin = keys.admin ?? '';
  await made(admin, 'POST', '/api/v1/roles', { name: `${slug}-keeper`, permissions: ['documents:read'] });
  ids.push(`${slug}-keeper`);
  await made(null, 'POST', '/api/v1/providers', {
    name: `${slug}-sim`,
    kind: 'openai',
    base_url: providerUrl,
  });
  ids.push(`${slug}-sim`);
  const route = {
    cache: { mode: 'exact' },
    tiers: [{ targets: [{ provider: `${slug}-sim`, model: 'gpt-4o-mini', weight: 1 }] }],
  };
  for (const name of ['default', `${slug}-route`]) await made(admin, 'PUT', `/api/v1/routes/${name}`, route);
  ids.push(`${slug}-route`);
  for (const readers of [{}, { groups: [`${slug}-payroll`] }]) {
    await made(admin, 'POST', '/api/v1/documents?wait=true', {
      title: `Handbook of ${second}`,
      text: `The lamp is trimmed at dusk. The signal word of the month is ${word}, and the keeper ${JSON.stringify(readers)} knows it.`,
      metadata: { department: third },
      external_id: `${slug}-handbook-${JSON.stringify(readers).length}`,
      acl: readers,
    });
  }
  const doomed = await made(admin, 'POST', '/api/v1/documents?wait=true', {
    title: second,
    text: `Gone: ${third}.`,
  });
  await made(admin, 'DELETE', `/api/v1/documents/${doomed.id}`);
  ids.push(doomed.id);
  await made(admin, 'POST', '/api/v1/limits/rules', {
    scope: 'model',
    subject: `${slug}-model`,
    limits: { requests_per_minute: 1_000_000 },
  });
  await made(admin, 'POST', '/api/v1/costs/budget', {
    scope: 'tag',
    scope_id: `${slug}-tag`,
    limit_usd: '5',
    period: 'month',
  });
  await made(null, 'POST', '/api/v1/costs/prices', {
    provider: `${slug}-sim`,
    model: `${slug}-model`,
    components: { input_mtok: '1', output_mtok: '1' },
  });
  await made(null, 'POST', '/api/v1/costs/adjustments', {
    kind: 'credit',
    amount_usd: '-0.5',
    reason: `for ${third}`,
  });
  await made(admin, 'POST', '/api/v1/notifications/channels', {
    kind: 'webhook',
    name: `bell of ${second}`,
    url: `https://93.184.215.14/${third}`,
  });
  await made(admin, 'PUT', `/api/v1/auth/issuers/${slug}-idp`, {
    issuer: `https://93.184.215.14/${third}`,
    audiences: [`${slug}-audience`],
    mapping: { role: { default: 'viewer' } },
  });
  ids.push(`${slug}-idp`);
  // What is asked twice is in the caches.
  for (let turn = 0; turn < 2; turn++) {
    await made(keys.analyst ?? '', 'POST', '/api/v1/query', sharedQuestion);
    await made(keys.analyst ?? '', 'POST', '/v1/chat/completions', sharedChat(word));
  }
  const entries = await made(admin, 'GET', '/api/v1/audit-logs?limit=200');
  ids.push(...entries.entries.map(({ entry }: { entry: { id: string } }) => entry.id));
  const ledger = await made(admin, 'GET', '/api/v1/costs/ledger?limit=50');
  ids.push(...ledger.calls.map((row: { id: string }) => row.id));
  const cursors: string[] = [];
  for (const list of ['keys', 'documents', 'audit-logs', 'costs/ledger', 'roles']) {
    const page = await made(admin, 'GET', `/api/v1/${list}?limit=1`);
    if (page.next_cursor) cursors.push(page.next_cursor);
  }
  const own = [...new Set([tenant.id, ...ids])].filter((id) => id.length > 8);
  return {
    slug,
    id: tenant.id,
    keys,
    ids: own,
    named: [...own.filter((_id, place) => place % 2 === 0), second, `${slug}-payroll`, `${slug}-tag`],
    secrets: [...secretsOf(slug), `${slug}-payroll`, `${slug}-model`, `${slug}-tag`, ...Object.values(keys)],
    cursors,
  };
}

/** What every tenant asks in the same words, so that only the wall keeps the answers apart. */
export const sharedQuestion = { query: 'What is the signal word of the month?' };
export const sharedChat = (word: string) => ({
  model: 'default',
  messages: [{ role: 'user', content: `Say what you know of ${word}.` }],
});

async function holdingsOf(
  server: RunningServer,
  operations: readonly Operation[],
  tenant: Tenant,
): Promise<string[]> {
  const parts: string[] = [];
  for (const { method, path } of operations) {
    // What changes by itself: the log of refusals, what was used just now, what the machine does.
    if (method !== 'GET' || !path.startsWith('/api/v1/') || path.includes('{')) continue;
    if (/audit-logs|openapi|health|rate-limits|cache$|forecast|recommendations/.test(path)) continue;
    const reply = await call(server.url, tenant.keys.admin ?? '', 'GET', path);
    parts.push(
      `${path} ${reply.status} ${reply.text.replace(/"last_used_at":("[^"]*"|null)/g, '"last_used_at":"x"')}`,
    );
  }
  for (const id of tenant.ids) {
    const reply = await call(server.url, tenant.keys.admin ?? '', 'GET', `/api/v1/documents/${id}`);
    parts.push(`${id} ${reply.status} ${reply.text}`);
  }
  return parts.map((part) => part.replace(/"correlation_id":"[^"]*"/g, ''));
}
