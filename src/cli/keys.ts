import { z } from 'zod';
import { type Client, withClient } from './client.ts';
import type { ServerValues } from './client-options.ts';
import { type CommandContext, exitCodes, UsageError } from './command.ts';
import { parseExpiry } from './expiry.ts';
import type { NewKeyValues } from './keys-offline.ts';
import { commaList } from './lists.ts';

const keyView = z.object({
  id: z.string(),
  tenant_id: z.string(),
  name: z.string(),
  role: z.string(),
  groups: z.array(z.string()),
  scopes: z.array(z.string()),
  created_at: z.string(),
  expires_at: z.string().nullable(),
  revoked_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
});
const createdKeyView = keyView.extend({ key: z.string() });
const keyPage = z.object({ keys: z.array(keyView), next_cursor: z.string().nullable() });

/** More keys than this are not listed; a page of 200 each. */
const mostPages = 50;

export async function createKey(values: NewKeyValues, context: CommandContext): Promise<number> {
  const { output, clock } = context;
  const expiresAt = values.expires === undefined ? undefined : parseExpiry(values.expires, clock.now());
  if (values.offline === true) {
    const { createKeyOffline } = await import('./keys-offline.ts');
    return createKeyOffline(values, expiresAt ?? null, context);
  }
  if (values.name === undefined) throw new UsageError('A key needs a name: --name "what it is for"');
  const made = await withClient(values, context, (client) =>
    client.call('POST', '/api/v1/keys', {
      body: {
        name: values.name,
        role: values.role,
        groups: commaList(values.groups),
        scopes: commaList(values.scopes),
        expires_at: expiresAt,
      },
    }),
  );
  const key = createdKeyView.parse(made);
  output.result(key);
  output.line(`Key ${key.id} (${key.name}) with the role ${key.role}. It is shown this once:`);
  output.line();
  output.line(`  ${key.key}`);
  output.line();
  return exitCodes.ok;
}

export async function listKeys(values: ServerValues, context: CommandContext): Promise<number> {
  const { output } = context;
  const keys = await withClient(values, context, allKeys);
  output.result({ keys });
  if (keys.length === 0) output.line('There are no keys.');
  else {
    output.table(
      ['ID', 'NAME', 'ROLE', 'GROUPS', 'SCOPES', 'STATE', 'LAST USED'],
      keys.map((key) => [
        key.id,
        key.name,
        key.role,
        key.groups.join(',') || '-',
        key.scopes.join(',') || 'all',
        stateOf(key, context.clock.now()),
        key.last_used_at?.slice(0, 16).replace('T', ' ') ?? 'never',
      ]),
    );
  }
  return exitCodes.ok;
}

export async function revokeKey(id: string, values: ServerValues, context: CommandContext): Promise<number> {
  if (id.startsWith('gh_')) {
    throw new UsageError('That is a whole key. Name it by its id, which "gatehouse keys list" shows.');
  }
  await withClient(values, context, (client) =>
    client.call('DELETE', `/api/v1/keys/${encodeURIComponent(id)}`),
  );
  context.output.result({ id, revoked: true });
  context.output.line(`Key ${id} is revoked.`);
  return exitCodes.ok;
}

async function allKeys(client: Client): Promise<z.infer<typeof keyView>[]> {
  const keys: z.infer<typeof keyView>[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < mostPages; page++) {
    const from: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const found = keyPage.parse(await client.call('GET', `/api/v1/keys?limit=200${from}`));
    keys.push(...found.keys);
    cursor = found.next_cursor;
    if (cursor === null) break;
  }
  return keys;
}

function stateOf(key: z.infer<typeof keyView>, now: Date): string {
  if (key.revoked_at !== null) return 'revoked';
  if (key.expires_at === null) return 'valid';
  return new Date(key.expires_at) <= now ? 'expired' : `until ${key.expires_at.slice(0, 10)}`;
}
