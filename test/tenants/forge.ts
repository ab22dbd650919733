import type { Draws } from '../crash/random.ts';
import type { House, OperationSchema, Schema, Tenant } from './house.ts';
import { sharedChat, sharedQuestion } from './house.ts';

/** A request of one tenant's that names what is another's, and its twin that names what is nobody's. */
export interface Attempt {
  readonly method: string;
  /** The route as it is declared. */
  readonly route: string;
  readonly role: string;
  /** `{…}` marks in these texts stand for what is named. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** What each mark stands for: of the other tenant's, and made up in the same form. */
  readonly names: readonly { readonly foreign: string; readonly absent: string }[];
}

const mark = (place: number) => `@@${place}@@`;

/** Puts the other tenant's names, or the made-up ones, into the places that were marked. */
export function written(attempt: Attempt, which: 'foreign' | 'absent') {
  const fill = (text: string, inUrl: boolean) =>
    text.replace(/@@(\d+)@@/g, (_whole, place: string) => {
      const name = attempt.names[Number(place)]?.[which] ?? '';
      return inUrl ? encodeURIComponent(name) : JSON.stringify(name).slice(1, -1);
    });
  return {
    path: fill(attempt.path, true),
    headers: Object.fromEntries(
      Object.entries(attempt.headers).map(([name, value]) => [name, fill(value, false)]),
    ),
    body: attempt.body === undefined ? undefined : fill(attempt.body, false),
  };
}

/** Makes up a request: any operation, with another tenant's names wherever a text may stand. */
export function forgeAttempt(house: House, victims: readonly Tenant[], draws: Draws): Attempt {
  const victim = draws.pick(victims);
  const names: { foreign: string; absent: string }[] = [];
  const someName = (): string => {
    const foreign = draws.pick(victim.named);
    // What stands twice stands twice in the twin, too: else it is the repetition that makes the difference.
    const same = names.find((name) => name.foreign === foreign);
    names.push(same ?? { foreign, absent: alike(foreign, victim.slug, draws) });
    return mark(names.length - 1);
  };
  const someCursor = (): string => {
    if (victim.cursors.length > 0 && draws.chance(0.5)) return draws.pick(victim.cursors);
    const at = new Date(Date.UTC(2026, 0, draws.integer(1, 360))).toISOString();
    return Buffer.from(`${at}|${draws.pick(victim.named)}`).toString('base64url');
  };
  const role = draws.weighted({ viewer: 1, analyst: 2, operator: 3, admin: 6 });
  const base = { role, headers: {}, names };
  const kind = draws.weighted({ forged: 88, question: 6, chat: 3, tenant: 3 });
  if (kind === 'question') {
    const body = { ...sharedQuestion, ...(draws.chance(0.5) && { filters: { document_ids: [someName()] } }) };
    const route = draws.pick(['/api/v1/query', '/api/v1/search']);
    return { ...base, method: 'POST', route, path: route, body: JSON.stringify(body) };
  }
  if (kind === 'chat') {
    const path = '/v1/chat/completions';
    return { ...base, method: 'POST', route: path, path, body: JSON.stringify(sharedChat('the lamp')) };
  }
  const operation = draws.pick(house.operations.filter(({ path }) => !unasked.includes(path)));
  const path = operation.path.replace(/\{[^}]+\}/g, () => someName());
  const query = queryOf(operation.schema, draws, someName, someCursor);
  const schema = operation.schema.requestBody?.content?.['application/json']?.schema;
  const body = schema === undefined ? undefined : JSON.stringify(sampleOf(schema, draws, someName, 0));
  const headers = kind === 'tenant' ? { 'x-tenant-id': draws.pick([victim.id, victim.slug]) } : {};
  return { ...base, method: operation.method, route: operation.path, path: path + query, headers, body };
}

/** What waits, or stops others from signing in. */
const unasked = ['/api/v1/auth/token', '/api/v1/openapi.json'];

function queryOf(
  { parameters = [] }: OperationSchema,
  draws: Draws,
  someName: () => string,
  someCursor: () => string,
): string {
  const given = parameters
    .filter((parameter) => parameter.in === 'query' && parameter.name !== 'wait' && draws.chance(0.4))
    .map(({ name, schema }) => {
      const value = name.includes('cursor') ? someCursor() : sampleOf(schema ?? {}, draws, someName, 0);
      return `${name}=${typeof value === 'string' ? value : encodeURIComponent(JSON.stringify(value))}`;
    });
  return given.length === 0 ? '' : `?${given.join('&')}`;
}

const deepest = 5;

/** Something that a schema lets through, with names of others where it takes any text. */
function sampleOf(schema: Schema, draws: Draws, someName: () => string, depth: number): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return draws.pick(schema.enum);
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return sampleOf(draws.pick(options), draws, someName, depth + 1);
  const type = Array.isArray(schema.type) ? draws.pick(schema.type) : schema.type;
  switch (type) {
    case 'object':
      return objectOf(schema, draws, someName, depth);
    case 'array':
      return depth > deepest
        ? []
        : Array.from({ length: draws.integer(0, 2) }, () =>
            sampleOf(schema.items ?? {}, draws, someName, depth + 1),
          );
    case 'integer':
    case 'number':
      return Math.max(schema.minimum ?? 1, draws.integer(1, 50));
    case 'boolean':
      return draws.chance(0.5);
    case 'null':
      return null;
    default:
      return schema.format === 'date-time' ? '2027-01-01T00:00:00Z' : someName();
  }
}

function objectOf(schema: Schema, draws: Draws, someName: () => string, depth: number): unknown {
  const members = Object.entries(schema.properties ?? {}).filter(
    ([name]) => schema.required?.includes(name) || draws.chance(depth > deepest ? 0 : 0.5),
  );
  if (members.length === 0 && depth > 0) return { [someName()]: someName() };
  return Object.fromEntries(
    members.map(([name, member]) => [name, sampleOf(member, draws, someName, depth + 1)]),
  );
}

/** The same attempt with other names that are nobody's. */
export function withOtherNames(attempt: Attempt, victims: readonly Tenant[], draws: Draws): Attempt {
  const others = new Map<string, { foreign: string; absent: string }>();
  for (const { foreign } of attempt.names) {
    const victim = victims.find(({ named }) => named.includes(foreign));
    const absent = alike(foreign, victim?.slug ?? 'nobodyrealm', draws);
    if (!others.has(foreign)) others.set(foreign, { foreign, absent });
  }
  return { ...attempt, names: attempt.names.map((name) => others.get(name.foreign) ?? name) };
}

/** A name of the same form that is nobody's: the same length, digits for digits, letters for letters. */
function alike(name: string, slug: string, draws: Draws): string {
  const isUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-/.test(name);
  return [...name.replaceAll(slug, 'nobodyrealm'.slice(0, slug.length))]
    .map((letter, place) => {
      if (isUuid && (place === 14 || place === 19)) return letter;
      if (/\d/.test(letter)) return String(draws.integer(0, 9));
      if (isUuid && /[a-f]/.test(letter)) return draws.pick([...'abcdef']);
      return /[a-z]/.test(letter) ? draws.pick([...'abcdefghijklmnopqrstuvwxyz']) : letter;
    })
    .join('');
}
