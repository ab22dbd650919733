import { call, type Reply, type RunningServer } from '../harness/server.ts';

/** What a reader may read, in both tenants. */
export const openDocuments = [
  'The harbour opens at six. The pilot boards at the outer buoy, and the signal lamp shows green.',
  'Salaries are paid on the last working day. Questions about salaries go to the harbour office.',
  'The lamp of the lighthouse is trimmed at dusk. The keeper writes the hour into the log.',
  'Ships answer the signal with two short blasts of the horn. In fog the bell is rung instead.',
  'The harbour master keeps the tide tables. Copies hang in the office and at the outer buoy.',
] as const;

/** What only one group may read, and only the one tenant has: about the same things, in the same words and others. */
export const hiddenDocuments = [
  'The harbour master is paid ninety thousand crowns. Salaries of pilots are half of that.',
  'The signal lamp shows red when the revenue cutter is near. The keeper is told by the bell.',
  openDocuments[2],
  'The zanzibar ledger: harbour, harbour, harbour, signal, signal, lamp, salaries, tide, pilot.',
] as const;

/** By what they are hidden: they name their readers, or the roles of those who ask have a condition. */
export type HiddenBy = 'readers' | 'a condition';

/** What the condition asks for is said of every document that is open, and of each hidden one something else, or nothing. */
const condition = {
  'metadata.department': { $eq: { $reader: 'department' } },
  $not: { 'metadata.clearance': { $gt: { $reader: 'clearance' } } },
};
const attributes = { department: 'harbour', clearance: 2 };
const openMarks = { department: 'harbour', clearance: 1 };
const hiddenMarks = [
  { department: 'payroll', clearance: 1 },
  { department: 'harbour', clearance: 3 },
  {},
  { department: 7, clearance: 'none' },
] as const;

export interface Twin {
  readonly slug: string;
  readonly keys: Readonly<Record<'reader' | 'writer' | 'auditor' | 'payroll', string>>;
  /** What a writer says of a document that is to be open. */
  readonly marks: Readonly<Record<string, string | number>>;
  /** What stands for an id or a key of this tenant in a reply that is compared. */
  readonly names: Map<string, string>;
  /** Ids of the hidden documents; where there are none, ids of nothing. */
  readonly hiddenIds: readonly string[];
}

/** Two tenants that are the same but for what a reader of theirs must not learn of. */
export async function furnishTwin(
  server: RunningServer,
  slug: string,
  provider: string,
  withHidden: boolean,
  by: HiddenBy,
): Promise<Twin> {
  const isConditional = by === 'a condition';
  const inTenant = { 'x-tenant-id': slug };
  const owner = async (method: string, path: string, body: unknown): Promise<any> => {
    const reply = await server.call(method, path, body, inTenant);
    if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
    return reply.json;
  };
  await server.call('POST', '/api/v1/tenants', { name: slug, slug });
  const reading = ['documents:read', 'queries:run'];
  const ownRoles = {
    auditor: ['audit:read', 'audit:export', ...reading, 'documents:write'],
    ...(isConditional && { reader: reading, writer: [...reading, 'documents:write'] }),
  };
  for (const [name, permissions] of Object.entries(ownRoles)) {
    await owner('POST', '/api/v1/roles', {
      name,
      permissions,
      ...(isConditional && { document_condition: condition }),
    });
  }
  await owner('POST', '/api/v1/providers', { name: 'sim', kind: 'openai', base_url: provider });
  await owner('PUT', '/api/v1/routes/default', {
    cache: { mode: 'exact' },
    tiers: [{ targets: [{ provider: 'sim', model: 'gpt-4o-mini', weight: 1 }] }],
  });
  // With vectors from the first document on.
  await owner('PUT', '/api/v1/routes/embeddings', {
    tiers: [{ targets: [{ provider: 'sim', model: 'text-embedding-3-small', weight: 1 }] }],
  });
  const keys: Record<string, string> = {};
  const names = new Map<string, string>();
  for (const [name, role, groups] of [
    ['reader', isConditional ? 'reader' : 'analyst', []],
    ['writer', isConditional ? 'writer' : 'operator', []],
    ['auditor', 'auditor', []],
    ['payroll', 'operator', ['payroll']],
  ] as const) {
    const made = await owner('POST', '/api/v1/keys', {
      name,
      role,
      groups,
      ...(isConditional && name !== 'payroll' && { attributes }),
    });
    keys[name] = made.key;
    names.set(made.id, `key of the ${name}`);
    names.set(made.tenant_id, 'the tenant');
  }
  const add = async (who: string, body: unknown) =>
    (await call(server.url, keys[who] ?? '', 'POST', '/api/v1/documents?wait=true', body)).json.id as string;
  const marks: Twin['marks'] = isConditional ? openMarks : {};
  const hiddenIds: string[] = [];
  for (const [place, text] of openDocuments.entries()) {
    // Among the others, so that they would show in pages and cursors.
    const secret = hiddenDocuments[place];
    if (secret !== undefined && withHidden) {
      hiddenIds.push(
        await add('payroll', {
          title: `Secret ${place}`,
          text: secret,
          metadata: { shelf: place % 2, kind: 'note', ...(isConditional && hiddenMarks[place]) },
          external_id: `secret-${place}`,
          ...(!isConditional && { acl: { groups: ['payroll'] } }),
        }),
      );
    }
    const id = await add('writer', {
      title: `Open ${place}`,
      text,
      metadata: { shelf: place % 2, kind: 'note', ...marks },
      external_id: `open-${place}`,
    });
    names.set(id, `open document ${place}`);
  }
  const absent = hiddenDocuments.map((_text, place) => `01a1fd75-4725-73a7-8080-d2ae480be07${place}`);
  return { slug, keys: keys as Twin['keys'], marks, names, hiddenIds: withHidden ? hiddenIds : absent };
}

/** A reply with what differs between any two tenants named alike: ids, times, keys of the cache. */
export function comparable(twin: Twin, reply: Reply): string {
  const cursors = reply.text.replace(/"next_cursor":"([^"]+)"/g, (_whole, cursor: string) => {
    const [, id = ''] = Buffer.from(cursor, 'base64url').toString('utf8').split('|');
    return `"next_cursor":"after ${id}"`;
  });
  let text = `${reply.status} ${reply.headers.get('x-gatehouse-cache')} ${reply.headers.get('location')} ${cursors}`;
  for (const [place, id] of twin.hiddenIds.entries())
    text = text.replaceAll(id, `what was asked for ${place}`);
  for (const [id, name] of twin.names) text = text.replaceAll(id, name);
  return text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'then')
    .replace(/"correlation_id":"[^"]*"/g, '')
    .replaceAll(twin.slug, 'the tenant');
}
